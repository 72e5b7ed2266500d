//! Pauses at a node that does not run the task.

use std::time::Duration;

use futures_util::future::join_all;

use super::{Carrier, Cluster};
use crate::figures::{spread, timed};

/// Number of tasks that are paused at the same time, and number of pauses of each. Without events each pause takes a second.
const TASKS: usize = 4;
const PAUSES: usize = 250;
const PAUSES_WITHOUT_EVENTS: usize = 50;

/// Rows of an import, and rows per second: it runs until it is terminated.
const ROWS: usize = 400_000;
const RATE: u32 = 1000;

pub async fn measure() {
    for carrier in [Carrier::Redis, Carrier::Listen, Carrier::Nothing] {
        let cluster = Cluster::start(carrier).await;
        let count = if carrier == Carrier::Nothing { PAUSES_WITHOUT_EVENTS } else { PAUSES };
        let tasks = (0..TASKS).map(async |n| pauses(&cluster, &format!("paused{n}"), count).await);
        let all = join_all(tasks).await.concat();
        spread(&format!("pause at another node, events by {}", carrier.name()), all);
    }
}

/// Returns the times from `pause` to PAUSED of an import.
async fn pauses(cluster: &Cluster, dataset: &str, count: usize) -> Vec<Duration> {
    let (id, mut times) = (cluster.slow_import(ROWS, dataset, RATE).await, Vec::new());
    for _ in 0..count {
        times.push(timed(async { assert_eq!(cluster.api.control("pause", &id).await, "PAUSED") }).await);
        let done = cluster.api.task(&id).await["progress"]["done"].as_u64().unwrap();
        cluster.api.control("resume", &id).await;
        cluster.api.until_done(&id, done + 1).await;
    }
    cluster.api.control("terminate", &id).await;
    times
}
