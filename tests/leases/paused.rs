//! A node that imports is frozen for longer than its lease, and its task is paused meanwhile. When it continues, it commits no row.

use rustix::process::Signal;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::{Shared, lost_its_lease, variable};
use crate::chaos::folder::is_exact;
use crate::harness::csv;
use crate::metrics::until;

/// Returns the rows that are committed to the only staging.
async fn committed(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("SELECT rows FROM pausa_datasets.staging").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_commits_nothing_to_a_task_that_was_paused_meanwhile() {
    let shared = Shared::new().await;
    let lease = variable("PAUSA_LEASE_SECONDS", "2");
    let a = shared.node("a", &lease).await;
    // It takes the task from the frozen node, and claims none: no newer epoch fences the writes.
    let b = shared.node("b", &[lease, variable("PAUSA_ROLE", "api")].concat()).await;
    let file = csv::people(20_000);
    let upload = a.upload(&*file).await;
    let id = a.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 4000 })).await;
    for round in 1..=3 {
        b.until_done(&id, round * 1_000).await;
        a.signal(Signal::STOP);
        b.until(&id, "QUEUED").await;
        assert_eq!(b.control("pause", &id).await, "PAUSED");
        let before = committed(&shared.test_store.url).await;
        a.signal(Signal::CONT);
        lost_its_lease(&a, round as f64).await;
        until(&a, "pausa_tasks_running", |running| running == 0.0).await;
        assert_eq!(committed(&shared.test_store.url).await, before, "rows were committed to a paused task");
        b.control("resume", &id).await;
    }
    b.until(&id, "COMPLETED").await;
    is_exact(&b, "people", &file).await;
}
