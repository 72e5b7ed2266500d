//! SIGTERM keeps the grace, whatever PostgreSQL does.

use std::time::Duration;

use pausa::clock::Clock;
use rustix::process::Signal;
use serde_json::json;

use super::Proxied;
use crate::harness::csv;
use crate::harness::proxy::Traffic;
use crate::harness::server::Server;

/// Time that the process may take beyond the grace. The promise is 2 s.
const BEYOND: Duration = Duration::from_secs(5);

/// Starts a node with a running import and a grace of three seconds.
async fn importing(url: &str) -> Server {
    let settings = [("PAUSA_DATABASE_URL", url), ("PAUSA_SHUTDOWN_GRACE", "3")];
    let server = Server::with(&settings).await;
    let upload = server.upload(csv::people(100_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 5_000 })).await;
    server.until_done(&id, 1_000).await;
    server
}

async fn ends_in_time(mut server: Server, what: &str) {
    let begin = Clock::monotonic();
    assert!(server.terminate().await.is_some());
    eprintln!("SIGTERM while PostgreSQL {what}: {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(3) + BEYOND, "{what}: {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_its_grace_while_the_server_is_stopped() {
    let proxied = Proxied::start().await;
    let server = importing(&proxied.postgres.url()).await;
    let stopped = std::sync::Arc::clone(&proxied.postgres);
    tokio::task::spawn_blocking(move || stopped.stop()).await.unwrap();
    ends_in_time(server, "is stopped").await;
    let again = std::sync::Arc::clone(&proxied.postgres);
    tokio::task::spawn_blocking(move || again.serve()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_its_grace_while_the_server_is_frozen() {
    let proxied = Proxied::start().await;
    let server = importing(&proxied.postgres.url()).await;
    proxied.postgres.signal(Signal::STOP);
    ends_in_time(server, "is frozen").await;
    proxied.postgres.signal(Signal::CONT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_keeps_its_grace_while_the_network_stalls_or_drops() {
    for traffic in [Traffic::Stall, Traffic::Drop] {
        let proxied = Proxied::start().await;
        let server = importing(&proxied.url).await;
        proxied.proxy.set(traffic);
        ends_in_time(server, &format!("has the network {traffic:?}")).await;
    }
}
