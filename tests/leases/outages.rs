//! The database is away for longer than a lease: every lease is over, and nobody is dead.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{node, ready, variable, was_taken_over};
use crate::chaos::folder::is_exact;
use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::metrics::scrape;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_of_three_leases_nobody_is_dead() {
    let postgres = Arc::new(tokio::task::spawn_blocking(Postgres::start).await.unwrap());
    let files = tempfile::tempdir().unwrap();
    let settings = [variable("PAUSA_LEASE_SECONDS", "3"), variable("PAUSA_MAX_RUNNING", "2")].concat();
    let (a, b) =
        (node(&postgres.url(), &files, "a", &settings).await, node(&postgres.url(), &files, "b", &settings).await);
    let file = csv::people(6_000);
    let upload = a.upload(&*file).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(a.import(&upload, json!({ "dataset": format!("set_{n}"), "maxRowsPerSecond": 300 })).await);
    }
    for id in &ids {
        a.until_done(id, 100).await;
    }
    let stopped = Arc::clone(&postgres);
    tokio::task::spawn_blocking(move || stopped.stop()).await.unwrap();
    // The length of the outage is what the story is about.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(a.get("/readyz").await.status(), 503);
    let again = Arc::clone(&postgres);
    tokio::task::spawn_blocking(move || again.serve()).await.unwrap();
    ready(&a, "ready").await;
    ready(&b, "ready").await;
    for (n, id) in ids.iter().enumerate() {
        a.until(id, "COMPLETED").await;
        let task = a.task(id).await;
        assert!(!was_taken_over(&task), "{task}");
        assert_eq!((&task["attempt"], &task["rowsImported"]), (&json!(0), &json!(6_000)), "{task}");
        is_exact(&b, &format!("set_{n}"), &file).await;
    }
    for node in [&a, &b] {
        scrape(node).await.is(&[("pausa_leases_lost_total", 0.0), ("pausa_runs_lost_total", 0.0)]);
    }
}
