//! SIGTERM keeps the grace, whatever PostgreSQL does.

use std::time::Duration;

use pausa::clock::Clock;
use rustix::process::Signal;
use serde_json::json;

use super::{Proxied, nothing_is_left, until_ready};
use crate::harness::csv;
use crate::harness::proxy::Traffic;
use crate::harness::server::Server;

/// Time that the process may take beyond the grace. The promise is 2 s.
const BEYOND: Duration = Duration::from_secs(5);

/// A node with a running import and a grace of three seconds.
struct Importing {
    server: Server,
    id: String,
}

/// Starts the node and the import.
async fn importing(url: &str) -> Importing {
    let settings = [("PAUSA_DATABASE_URL", url), ("PAUSA_SHUTDOWN_GRACE", "3")];
    let server = Server::with(&settings).await;
    let upload = server.upload(csv::people(100_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 5_000 })).await;
    server.until_done(&id, 1_000).await;
    Importing { server, id }
}

impl Importing {
    async fn ends_in_time(&mut self, what: &str) {
        let begin = Clock::monotonic();
        assert!(self.server.terminate().await.is_some());
        eprintln!("SIGTERM while PostgreSQL {what}: {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(3) + BEYOND, "{what}: {:?}", begin.elapsed());
    }

    /// Starts the node again, and terminates the import: nothing of it is left.
    async fn removes_the_import(mut self, proxied: &Proxied) {
        self.server.restart().await;
        until_ready(&self.server, 200).await;
        assert_eq!(self.server.control("terminate", &self.id).await, "TERMINATED");
        assert_eq!(self.server.rows("people").await, None);
        nothing_is_left(&proxied.postgres.url(), &self.server, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_its_grace_while_the_server_is_stopped() {
    let proxied = Proxied::start().await;
    let mut importing = importing(&proxied.postgres.url()).await;
    let stopped = std::sync::Arc::clone(&proxied.postgres);
    tokio::task::spawn_blocking(move || stopped.stop()).await.unwrap();
    importing.ends_in_time("is stopped").await;
    let again = std::sync::Arc::clone(&proxied.postgres);
    tokio::task::spawn_blocking(move || again.serve()).await.unwrap();
    importing.removes_the_import(&proxied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_its_grace_while_the_server_is_frozen() {
    let proxied = Proxied::start().await;
    let mut importing = importing(&proxied.postgres.url()).await;
    proxied.postgres.signal(Signal::STOP);
    importing.ends_in_time("is frozen").await;
    proxied.postgres.signal(Signal::CONT);
    importing.removes_the_import(&proxied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_its_grace_while_the_network_stalls_or_drops() {
    for traffic in [Traffic::Stall, Traffic::Drop] {
        let proxied = Proxied::start().await;
        let mut importing = importing(&proxied.url).await;
        proxied.proxy.set(traffic);
        importing.ends_in_time(&format!("has the network {traffic:?}")).await;
        proxied.proxy.set(Traffic::Pass);
        importing.removes_the_import(&proxied).await;
    }
}
