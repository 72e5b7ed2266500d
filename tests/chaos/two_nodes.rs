//! Two nodes on one PostgreSQL store, and which of them runs a task.

use std::path::Path;

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::store::test_store::TestStore;

/// A lease that a live node keeps on a busy machine, and that a dead one loses soon.
pub const LEASE: (&str, &str) = ("PAUSA_LEASE_SECONDS", "5");

/// Two nodes that share a store, datasets and files.
pub struct TwoNodes {
    pub a: Server,
    pub b: Server,
    test_store: TestStore,
    files: TempDir,
}

impl TwoNodes {
    /// Starts both nodes with additional settings.
    pub async fn start(settings: &[(&str, &str)]) -> TwoNodes {
        TwoNodes::on(TestStore::postgres().await, settings).await
    }

    /// Starts both nodes on that store.
    pub async fn on(test_store: TestStore, settings: &[(&str, &str)]) -> TwoNodes {
        TwoNodes::differing(test_store, settings, settings).await
    }

    /// Starts both nodes on that store, each with its own settings.
    pub async fn differing(test_store: TestStore, of_a: &[(&str, &str)], of_b: &[(&str, &str)]) -> TwoNodes {
        let files = tempfile::tempdir().unwrap();
        let node = async |name, settings: &[(&str, &str)]| {
            Server::sharing(&test_store.url, &files, &[settings, &[("PAUSA_NODE", name)]].concat()).await
        };
        let (a, b) = (node("a", of_a).await, node("b", of_b).await);
        TwoNodes { a, b, test_store, files }
    }

    /// Returns the folder of files that both use.
    pub fn files(&self) -> &Path {
        self.files.path()
    }

    /// Returns what disconnects the nodes' event connections.
    pub fn disconnector(&self) -> Disconnector {
        Disconnector(self.test_store.url.clone())
    }

    /// Returns the number of stagings in the database.
    pub async fn stagings(&self) -> u64 {
        let unpublished = "UPDATE pausa_datasets.staging SET epoch = epoch WHERE NOT published";
        self.test_store.execute(unpublished).await.unwrap()
    }
}

/// Returns the node that runs the task, and the other one.
pub async fn roles<'a>(a: &'a mut Server, b: &'a mut Server, id: &str) -> (&'a mut Server, &'a mut Server) {
    let task = a.task(id).await;
    match runner(&task) {
        "node a" => (a, b),
        "node b" => (b, a),
        other => panic!("{other} runs it: {task}"),
    }
}

/// Watches a task at `server` until the run of that attempt has progressed beyond `done`.
pub async fn taken_over(server: &Server, id: &str, attempt: u64, done: u64) {
    let mut watch = Watch::progress(&server.url, id).await;
    let moved = |task: &Value| task["attempt"] == attempt && task["progress"]["done"].as_u64().unwrap() > done;
    watch.until(|task| task["state"] == "COMPLETED" || moved(task)).await;
    assert_eq!(server.task(id).await["attempt"], attempt);
}

/// Returns who claimed the task last.
pub fn runner(task: &Value) -> &str {
    let history = task["history"].as_array().unwrap();
    let taken = history.iter().rev().find(|change| change["to"] == "RUNNING" && change["from"] == "QUEUED");
    taken.and_then(|change| change["by"].as_str()).unwrap_or("nobody")
}

/// Ends the connections by which nodes receive each other's events.
pub struct Disconnector(String);

impl Disconnector {
    /// Ends them. Returns how many there were.
    pub async fn disconnect(&self) -> usize {
        let mut connection = PgConnection::connect(&self.0).await.unwrap();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query LIKE 'SELECT pg_notify($1%')";
        sqlx::query(sql).fetch_all(&mut connection).await.unwrap().len()
    }
}
