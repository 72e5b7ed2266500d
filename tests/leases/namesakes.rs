//! Two processes with one name are two nodes.

use serde_json::json;

use super::{Shared, ready, variable, was_taken_over};
use crate::harness::csv;
use crate::metrics::{scrape, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_are_warned_and_the_tasks_of_one_that_dies_are_taken_over() {
    let shared = Shared::new().await;
    let settings = variable("PAUSA_LEASE_SECONDS", "2");
    let (mut one, mut other) = (shared.node("web", &settings).await, shared.node("web", &settings).await);
    for node in [&one, &other] {
        let body = ready(node, "warning").await;
        assert!(body.starts_with("ready\nwarning: 1 other nodes are called \"web\": give each node"), "{body}");
        until(node, "pausa_node_namesakes", |namesakes| namesakes == 1.0).await;
    }
    let upload = one.upload(csv::people(3_000)).await;
    let id = one.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 500 })).await;
    one.until_done(&id, 100).await;
    assert!(!was_taken_over(&one.task(&id).await), "the newcomer takes nothing from a living one");
    let runs_on_one = scrape(&one).await.value("pausa_tasks_running") == 1.0;
    let (dies, lives) = if runs_on_one { (&mut one, &mut other) } else { (&mut other, &mut one) };
    dies.kill().await;
    let task = lives.until(&id, "COMPLETED").await;
    assert_eq!((&task["attempt"], &task["rowsImported"]), (&json!(1), &json!(3_000)));
    let body = ready(lives, "ready").await;
    until(lives, "pausa_node_namesakes", |namesakes| namesakes == 0.0).await;
    // A process that died before this one started is no twin.
    dies.restart().await;
    dies.kill().await;
    dies.restart().await;
    ready(dies, "warning: 1 other nodes").await;
    assert!(body.starts_with("ready\n"), "{body}");
}
