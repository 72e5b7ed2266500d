//! Progress at a node that does not run the task: from the run's report, before its commit, until a subscriber has it.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use pausa::clock::Clock;
use serde_json::json;

use super::{Carrier, Cluster};
use crate::figures::spread;
use crate::harness::watch::Watch;

/// Number of imports that are watched at the same time, and number of updates of each.
const TASKS: usize = 4;
const UPDATES: usize = 150;

/// Rows of an import, and rows per second: it runs until it is terminated.
const ROWS: usize = 200_000;
const RATE: u32 = 1000;

/// Rows and rate of an import whose reports are also due by its share of the total.
const SHORT: (usize, u32) = (10_000, 2000);

pub async fn measure() {
    for carrier in [Carrier::Redis, Carrier::Listen] {
        let cluster = Cluster::start(carrier).await;
        let tasks = (0..TASKS).map(async |n| long(&cluster, &format!("long{n}")).await);
        let all = join_all(tasks).await.concat();
        spread(&format!("progress of long imports at another node, events by {}", carrier.name()), all);
        let tasks = (0..TASKS).map(async |n| short(&cluster, &format!("short{n}")).await);
        let all = join_all(tasks).await.concat();
        spread(&format!("progress of imports of 5 s at another node, events by {}", carrier.name()), all);
    }
}

async fn long(cluster: &Cluster, dataset: &str) -> Vec<Duration> {
    let id = cluster.slow_import(ROWS, dataset, RATE).await;
    let times = delays(cluster, &id).await;
    cluster.api.control("terminate", &id).await;
    times
}

async fn short(cluster: &Cluster, dataset: &str) -> Vec<Duration> {
    let id = cluster.slow_import(SHORT.0, dataset, SHORT.1).await;
    delays(cluster, &id).await
}

/// Returns the age of each progress of the running task when it arrives. The first event is a read.
async fn delays(cluster: &Cluster, id: &str) -> Vec<Duration> {
    let query = "subscription($id: ID!) { taskProgress(id: $id) { state progress { updatedAt } } }";
    let mut watch = Watch::open(&cluster.api.url, "taskProgress", query, json!({ "id": id })).await;
    let (clock, mut times, mut last) = (Clock::system(), Vec::new(), None);
    while let Some(task) = watch.next().await {
        let arrived = clock.now();
        let reported: Timestamp = task["progress"]["updatedAt"].as_str().unwrap().parse().unwrap();
        if last.is_some_and(|last| reported > last) && task["state"] == "RUNNING" {
            // The clocks of the nodes follow that of PostgreSQL, to half a round trip.
            times.push(reported.duration_until(arrived).try_into().unwrap_or_default());
        }
        last = Some(reported);
        if times.len() == UPDATES {
            break;
        }
    }
    times
}
