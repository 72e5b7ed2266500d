//! PostgreSQL stalls, restarts, forgets its connections or refuses them. Nothing hangs, nothing is lost, and the log stays
//! short.

mod limits;
mod lost;
mod owners;
mod poolers;
mod publishing;
mod refusals;
mod shutdowns;
mod stalls;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use pausa::clock::Clock;
use serde_json::{Value, json};

use crate::harness::postgres::Postgres;
use crate::harness::proxy::Proxy;
use crate::harness::server::{PATIENCE, Server};

/// The promise: each call answers within 3 s. A busy machine gets as much again.
const ANSWER: Duration = Duration::from_secs(6);

/// Starts a PostgreSQL server of a story's own.
async fn postgres() -> Arc<Postgres> {
    Arc::new(tokio::task::spawn_blocking(Postgres::start).await.unwrap())
}

/// A node on a PostgreSQL server that it reaches through a proxy.
struct Proxied {
    proxy: Proxy,
    url: String,
    postgres: Arc<Postgres>,
}

impl Proxied {
    async fn start() -> Proxied {
        let postgres = postgres().await;
        let (proxy, url) = postgres.proxy("postgres").await;
        Proxied { proxy, url, postgres }
    }
}

/// Returns the status and the text of /readyz, and how long they took.
async fn ready(server: &Server) -> (u16, String, Duration) {
    let begin = Clock::monotonic();
    let answer = server.get("/readyz").await;
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap(), begin.elapsed())
}

/// Waits until /readyz has that status. Returns its text.
async fn until_ready(server: &Server, expected: u16) -> String {
    let reached = async {
        loop {
            let (status, text, _) = ready(server).await;
            if status == expected {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("the readiness did not change in time")
}

/// Calls of the API that use the store or the datasets.
fn calls() -> Vec<(&'static str, Value)> {
    let id = "01900000-0000-7000-8000-000000000000";
    let timer = json!({ "input": { "url": "http://127.0.0.1:9/hook", "when": { "after": { "seconds": 3600 } } } });
    vec![
        ("{ tasks { nodes { id } } }", json!({})),
        ("query($id: ID!) { task(id: $id) { id } }", json!({ "id": id })),
        ("mutation($id: ID!) { pause(id: $id) { id } }", json!({ "id": id })),
        ("mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }", timer),
        ("{ datasets { nodes { name } } }", json!({})),
        ("{ dataset(name: \"people\") { rowCount } }", json!({})),
    ]
}

/// Returns the lines of a log that an outage adds to.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect()
}
