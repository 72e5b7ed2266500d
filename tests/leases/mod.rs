//! Nodes that share a store: clocks that are wrong, leases that end, processes with one name, outages longer than a lease.

mod clocks;
mod deaths;
mod frozen;
mod kinds;
mod lost;
mod namesakes;
mod outages;
mod paused;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::server::Server;
use crate::metrics::{Scrape, until};
use crate::store::test_store::TestStore;

/// A store and a folder for several nodes.
struct Shared {
    test_store: TestStore,
    files: TempDir,
}

impl Shared {
    async fn new() -> Shared {
        Shared { test_store: TestStore::postgres().await, files: tempfile::tempdir().unwrap() }
    }

    /// Starts a node with additional variables.
    async fn node(&self, name: &str, variables: &[(String, String)]) -> Server {
        node(&self.test_store.url, &self.files, name, variables).await
    }
}

/// Starts a node on this database and folder. It may send webhooks to loopback.
async fn node(url: &str, files: &TempDir, name: &str, variables: &[(String, String)]) -> Server {
    let own = [("PAUSA_NODE", name), ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")];
    let more = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Server::sharing(url, files, &own.into_iter().chain(more).collect::<Vec<_>>()).await
}

/// Returns a variable.
fn variable(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

/// Returns true if a lease of the task's node ended.
fn was_taken_over(task: &Value) -> bool {
    let history = task["history"].as_array().unwrap();
    history.iter().any(|change| change["reason"].as_str().is_some_and(|reason| reason.starts_with("the lease of node")))
}

/// Waits until /readyz of the node contains this text, and returns it.
pub async fn ready(server: &Server, text: &str) -> String {
    let said = async {
        loop {
            let body = server.get("/readyz").await.text().await.unwrap();
            if body.contains(text) {
                return body;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::harness::server::PATIENCE, said).await.unwrap_or_else(|_| panic!("never {text:?}"))
}

/// Waits until the node has lost its lease and joined again.
async fn lost_its_lease(server: &Server, times: f64) -> Scrape {
    until(server, "pausa_leases_lost_total", |lost| lost >= times).await
}
