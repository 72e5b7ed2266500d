//! Two nodes whose events are carried by Redis, or by nothing.

use serde_json::json;

use super::folder::is_exact;
use super::two_nodes::{TwoNodes, roles};
use crate::harness::csv;
use crate::harness::redis::Redis;
use crate::harness::watch::Watch;

/// Rows a second of the imports: so they run while the story acts.
const RATE: u64 = 2000;

/// Two nodes with these settings, and an import that one of them runs.
async fn importing(settings: &[(&str, &str)], rows: usize) -> (TwoNodes, String) {
    let two = TwoNodes::start(&[settings, &[("PAUSA_LEASE_SECONDS", "60")]].concat()).await;
    let id = start_import(&two, rows).await;
    (two, id)
}

/// An import runs, is paused and resumed at the node that does not run it, and ends with each of its rows.
pub async fn control_works(two: &mut TwoNodes) {
    let id = start_import(two, 6000).await;
    pause_elsewhere(two, &id).await;
    ends_exactly(two, &id, 6000).await;
}

/// Starts an import that one of the nodes runs.
async fn start_import(two: &TwoNodes, rows: usize) -> String {
    let upload = two.a.upload(csv::people(rows)).await;
    let input = json!({ "dataset": "people", "mode": "REPLACE", "maxRowsPerSecond": RATE });
    let id = two.a.import(&upload, input).await;
    two.b.until_done(&id, 200).await;
    id
}

/// Pauses the import at the node that does not run it, watches that there, and resumes it.
async fn pause_elsewhere(two: &mut TwoNodes, id: &str) {
    let (here, there) = roles(&mut two.a, &mut two.b, id).await;
    let mut watch = Watch::progress(&there.url, id).await;
    watch.until(|task| task["state"] == "RUNNING").await;
    assert_eq!(there.control("pause", id).await, "PAUSED");
    watch.until(|task| task["state"] == "PAUSED").await;
    let done = here.task(id).await["progress"]["done"].as_u64().unwrap();
    here.control("resume", id).await;
    watch.until(|task| task["progress"]["done"].as_u64().unwrap() > done).await;
}

async fn ends_exactly(two: &TwoNodes, id: &str, rows: usize) {
    two.b.until(id, "COMPLETED").await;
    assert_eq!(two.a.task(id).await["attempt"], 0, "nothing failed");
    is_exact(&two.b, "people", &csv::people(rows)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_redis_any_node_controls_and_shows_a_task() {
    let redis = Redis::start().await;
    let (mut two, id) = importing(&[("PAUSA_REDIS_URL", &redis.url())], 4000).await;
    pause_elsewhere(&mut two, &id).await;
    ends_exactly(&two, &id, 4000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nothing_between_them_nodes_read_the_store_every_second() {
    let (mut two, id) = importing(&[("PAUSA_EVENTS", "poll")], 8000).await;
    pause_elsewhere(&mut two, &id).await;
    ends_exactly(&two, &id, 8000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_nothing_is_lost_and_control_goes_on() {
    let mut redis = Redis::start().await;
    let (mut two, id) = importing(&[("PAUSA_REDIS_URL", &redis.url())], 12_000).await;
    redis.kill();
    pause_elsewhere(&mut two, &id).await;
    redis.restart().await;
    pause_elsewhere(&mut two, &id).await;
    ends_exactly(&two, &id, 12_000).await;
}

/// Its connections stay open, but nothing arrives any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_has_become_silent_is_noticed() {
    let redis = Redis::start().await;
    let (mut two, id) = importing(&[("PAUSA_REDIS_URL", &redis.url())], 16_000).await;
    redis.freeze();
    pause_elsewhere(&mut two, &id).await;
    redis.thaw();
    pause_elsewhere(&mut two, &id).await;
    ends_exactly(&two, &id, 16_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_without_redis() {
    let mut redis = Redis::start().await;
    redis.kill();
    let (mut two, id) = importing(&[("PAUSA_REDIS_URL", &redis.url())], 8000).await;
    pause_elsewhere(&mut two, &id).await;
    ends_exactly(&two, &id, 8000).await;
}

/// The other stories also pass if nodes only read the store every second. Here Redis says who listens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_nodes_hear_one_channel_and_flushall_loses_nothing() {
    let redis = Redis::start().await;
    let (mut two, id) = importing(&[("PAUSA_REDIS_URL", &redis.url())], 8000).await;
    let channels = redis.command("PUBSUB CHANNELS pausa:*").await;
    let name = channels.lines().nth(2).unwrap_or_else(|| panic!("no channel: {channels}"));
    assert!(channels.starts_with("*1\r\n"), "one store, one channel: {channels}");
    let subscribers = redis.command(&format!("PUBSUB NUMSUB {name}")).await;
    assert!(subscribers.ends_with(":2\r\n"), "{subscribers}");
    let query = "subscription { taskChanges { id state } }";
    let (_, there) = roles(&mut two.a, &mut two.b, &id).await;
    let mut changes = Watch::open(&there.url, "taskChanges", query, json!({})).await;
    assert_eq!(redis.command("FLUSHALL").await, "+OK\r\n");
    pause_elsewhere(&mut two, &id).await;
    changes.until(|task| task["id"] == id && task["state"] == "PAUSED").await;
    ends_exactly(&two, &id, 8000).await;
    changes.until(|task| task["id"] == id && task["state"] == "COMPLETED").await;
}
