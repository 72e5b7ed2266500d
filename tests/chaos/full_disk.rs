//! The disk is full: tasks wait until there is space, and show why. No attempt is lost, however long it takes.

use serde_json::{Value, json};

use super::bucket_takeover::{digits, slow_export};
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

/// A small disk for one node, and the store and the bucket that it shares with another one.
struct Cluster {
    disk: SmallDisk,
    test_store: TestStore,
    bucket: Bucket,
}

impl Cluster {
    async fn with_disk_of_mebibytes(size: usize) -> Cluster {
        let (test_store, bucket) = (TestStore::postgres().await, Bucket::create().await);
        Cluster { disk: SmallDisk::of_mebibytes(size), test_store, bucket }
    }

    /// Starts the node `full`, on the small disk.
    async fn full(&self) -> Server {
        self.node(&[("PAUSA_NODE", "full"), ("PAUSA_DATA_DIR", self.disk.path().to_str().unwrap())]).await
    }

    /// Starts the node `other`, on a disk with space.
    async fn other(&self) -> Server {
        self.node(&[("PAUSA_NODE", "other")]).await
    }

    async fn node(&self, settings: &[(&str, &str)]) -> Server {
        let own = self.bucket.settings();
        let mut all: Vec<(&str, &str)> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.extend([("PAUSA_DATABASE_URL", self.test_store.url.as_str()), LEASE]);
        Server::with(&[&all[..], settings].concat()).await
    }
}

/// Returns the nodes that ran the task, in order.
fn runners(task: &Value) -> Vec<&str> {
    let history = task["history"].as_array().unwrap();
    let claims = history.iter().filter(|change| change["to"] == "RUNNING" && change["from"] == "QUEUED");
    claims.map(|change| change["by"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_space_runs_the_tasks_of_one_whose_disk_is_full() {
    let cluster = Cluster::with_disk_of_mebibytes(16).await;
    let full = cluster.full().await;
    let pi = full.pi(1_000).await;
    full.until(&pi, "COMPLETED").await;
    assert_eq!(runners(&full.task(&pi).await), ["node full"]);

    cluster.disk.fill(0);
    let mut other = cluster.other().await;
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
    cluster.disk.free();
    full.until(&pi, "COMPLETED").await;
    assert!(runners(&full.task(&pi).await).iter().all(|node| *node == "node full"));
}

/// Digits of a computation that saves its parts many times.
const DIGITS: u32 = 5_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_computation_and_an_export_end_at_the_other_node_when_the_disk_of_theirs_fills() {
    let cluster = Cluster::with_disk_of_mebibytes(64).await;
    let (full, file) = (cluster.full().await, csv::people(30_000));
    let upload = full.upload(&*file).await;
    let import = full.import(&upload, json!({ "dataset": "people" })).await;
    full.until(&import, "COMPLETED").await;
    let (export, pi) = (slow_export(&full, 2_000).await, full.pi(DIGITS).await);
    full.until_done(&export, 1).await;
    full.until_done(&pi, u64::from(DIGITS) / 8).await;
    let other = cluster.other().await;
    cluster.disk.fill(0);

    ready(&full, "so other nodes run the tasks that write files").await;
    // An export to a bucket writes nothing to the disk, so it runs on. Once it is paused, a node with space resumes it.
    assert_eq!(full.control("pause", &export).await, "PAUSED");
    full.control("resume", &export).await;
    for id in [&pi, &export] {
        full.until(id, "COMPLETED").await;
        let task = full.task(id).await;
        assert_eq!((&task["attempt"], &task["error"]), (&json!(0), &Value::Null), "{task}");
        let runners = runners(&task);
        assert_eq!((runners[0], *runners.last().unwrap()), ("node full", "node other"), "{task}");
    }
    same_cells(&other.get(&format!("/download/{export}")).await.bytes().await.unwrap(), &file);
    let whole = other.pi(DIGITS).await;
    other.until(&whole, "COMPLETED").await;
    assert!(digits(&other, &pi).await == digits(&other, &whole).await, "every digit is as without an interruption");
}
