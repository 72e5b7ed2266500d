//! `kill -9` of a node: another one takes its tasks over.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Shared, variable};
use crate::chaos::two_nodes::runner;
use crate::harness::server::Server;
use crate::harness::{csv, now};

const KILLS: u64 = 3;
const LEASE: SignedDuration = SignedDuration::from_secs(2);

/// Returns the moment of the claim of that attempt.
async fn claimed(server: &Server, id: &str, attempt: u64) -> Timestamp {
    let mut watch = crate::harness::watch::Watch::progress(&server.url, id).await;
    watch.until(|task| task["attempt"] == attempt && task["state"] == "RUNNING").await;
    let task = server.task(id).await;
    let running = |change: &&Value| change["to"] == "RUNNING";
    task["history"].as_array().unwrap().iter().rev().find(running).unwrap()["at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_a_killed_node_are_taken_over_after_a_lease() {
    let shared = Shared::new().await;
    let settings = variable("PAUSA_LEASE_SECONDS", &LEASE.as_secs().to_string());
    let (mut a, mut b) = (shared.node("a", &settings).await, shared.node("b", &settings).await);
    let upload = a.upload(csv::people(60_000)).await;
    let id = a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 100 })).await;
    a.until(&id, "RUNNING").await;
    for attempt in 1..=KILLS {
        let on_a = runner(&a.task(&id).await) == "node a";
        let (dies, lives) = if on_a { (&mut a, &mut b) } else { (&mut b, &mut a) };
        // The survivor has renewed its lease for a whole lease.
        tokio::time::sleep((LEASE * 2).try_into().unwrap()).await;
        let killed = now();
        dies.kill().await;
        let taken = killed.duration_until(claimed(lives, &id, attempt).await);
        println!("takeover {attempt}: {:.2} s after kill -9, lease {} s", taken.as_secs_f64(), LEASE.as_secs());
        assert!(taken < LEASE + SignedDuration::from_secs(5), "{taken:?}");
        dies.restart().await;
    }
}
