//! The disk is full: tasks wait until there is space, and show why. No attempt is lost, however long it takes.

use serde_json::{Value, json};

use super::bucket_takeover::digits;
use super::folder::same_cells;
use super::two_nodes::LEASE;
use crate::harness::csv;
use crate::harness::s3::Bucket;
use crate::harness::server::Server;
use crate::harness::small_disk::SmallDisk;
use crate::harness::watch::Watch;
use crate::leases::ready;
use crate::store::test_store::TestStore;

/// Number of attempts that a task may fail.
const LIMIT: (&str, &str) = ("PAUSA_RETRY_LIMIT", "3");

/// Waits until the task has waited more often than a task may fail.
async fn waits_for_space(server: &Server, id: &str) {
    let mut watch = Watch::progress(&server.url, id).await;
    let task = loop {
        watch.until(|task| task["state"] == "FAILED" || task["state"] == "SCHEDULED").await;
        let task = server.task(id).await;
        let waits = task["history"].as_array().unwrap().iter().filter(|change| change["to"] == "SCHEDULED").count();
        if task["state"] == "FAILED" || waits > 4 {
            break task;
        }
    };
    assert_ne!(task["state"], "FAILED", "{task}");
    assert_eq!(task["attempt"], 0, "no attempt is spent: {task}");
    assert_eq!(task["error"]["code"], "UNAVAILABLE", "{task}");
    assert!(task["error"]["message"].as_str().unwrap().starts_with("The disk is full: cannot write"), "{task}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_and_pi_wait_for_space() {
    let disk = SmallDisk::of_mebibytes(16);
    let files = format!("file://{}/files", disk.path().display());
    let server = Server::with(&[("PAUSA_FILES_URL", files.as_str()), LIMIT]).await;
    let file = csv::wide(60_000, 6);
    let upload = server.upload(&*file).await;
    let import = server.import(&upload, json!({ "dataset": "wide" })).await;
    server.until(&import, "COMPLETED").await;
    disk.fill(0);
    let (export, pi) = (server.export("wide").await, server.pi(100_000).await);
    waits_for_space(&server, &export).await;
    waits_for_space(&server, &pi).await;
    assert_eq!(server.control("pause", &pi).await, "PAUSED", "a waiting task obeys");
    server.control("resume", &pi).await;
    disk.free();
    server.until(&export, "COMPLETED").await;
    server.until(&pi, "COMPLETED").await;
    let bytes = server.get(&format!("/download/{export}")).await.bytes().await.unwrap();
    same_cells(&bytes, &file);
    let digits = digits(&server, &pi).await;
    assert_eq!((digits.len(), &digits[..12]), (100_002, "3.1415926535"));
}

/// Returns the nodes that ran the task, in order.
fn runners(task: &Value) -> Vec<&str> {
    let history = task["history"].as_array().unwrap();
    let claims = history.iter().filter(|change| change["to"] == "RUNNING" && change["from"] == "QUEUED");
    claims.map(|change| change["by"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_space_runs_the_tasks_of_one_whose_disk_is_full() {
    let (disk, test_store, bucket) = (SmallDisk::of_mebibytes(16), TestStore::postgres().await, Bucket::create().await);
    let own = bucket.settings();
    let mut shared: Vec<(&str, &str)> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    shared.extend([("PAUSA_DATABASE_URL", test_store.url.as_str()), LEASE]);
    let data = disk.path().to_str().unwrap();
    let full = Server::with(&[&shared[..], &[("PAUSA_NODE", "full"), ("PAUSA_DATA_DIR", data)]].concat()).await;
    let pi = full.pi(1_000).await;
    full.until(&pi, "COMPLETED").await;
    assert_eq!(runners(&full.task(&pi).await), ["node full"]);

    disk.fill(0);
    let mut other = Server::with(&[&shared[..], &[("PAUSA_NODE", "other")]].concat()).await;
    // The node with the full disk knows of the other one after its next heartbeat.
    ready(&full, "so other nodes run the tasks that write files").await;
    for _ in 0..10 {
        let pi = full.pi(1_000).await;
        full.until(&pi, "COMPLETED").await;
        let task = full.task(&pi).await;
        assert_eq!((runners(&task), &task["error"]), (vec!["node other"], &Value::Null), "{task}");
    }

    // Alone, it shows why tasks wait.
    other.kill().await;
    let pi = full.pi(1_000).await;
    waits_for_space(&full, &pi).await;
    disk.free();
    full.until(&pi, "COMPLETED").await;
    assert!(runners(&full.task(&pi).await).iter().all(|node| *node == "node full"));
}
