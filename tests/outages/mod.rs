//! PostgreSQL stalls, restarts, forgets its connections or refuses them. Nothing hangs, nothing is lost, and the log stays
//! short.

mod claims;
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
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::chaos::folder::has_only_results;
use crate::harness::postgres::Postgres;
use crate::harness::proxy::Proxy;
use crate::harness::server::{PATIENCE, Server};

/// The promise: each call answers within 3 s, and /readyz within one. A busy machine gets half as much again.
const ANSWER: Duration = Duration::from_millis(4500);
const READY: Duration = Duration::from_millis(1500);

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
        Proxied::on(postgres().await).await
    }

    async fn on(postgres: Arc<Postgres>) -> Proxied {
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
pub async fn until_ready(server: &Server, expected: u16) -> String {
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

/// An ID that no task and no upload has.
const ID: &str = "01900000-0000-7000-8000-000000000000";

/// Calls of the API that use the store or the datasets.
fn calls() -> Vec<(&'static str, Value)> {
    let id = ID;
    let import = json!({ "input": { "source": { "uploadId": id }, "dataset": "people" } });
    let timer = json!({ "input": { "url": "http://127.0.0.1:9/hook", "when": { "after": { "seconds": 3600 } } } });
    vec![
        ("{ tasks { nodes { id } } }", json!({})),
        ("query($id: ID!) { task(id: $id) { id } }", json!({ "id": id })),
        ("mutation($id: ID!) { pause(id: $id) { id } }", json!({ "id": id })),
        ("mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }", timer),
        ("{ datasets { nodes { name } } }", json!({})),
        ("{ dataset(name: \"people\") { rowCount } }", json!({})),
        ("{ dataset(name: \"people\") { rows(first: 1) { nodes { cells } } } }", json!({})),
        ("mutation { startExport(input: { dataset: \"people\" }) { id } }", json!({})),
        ("mutation { dropDataset(name: \"people\") }", json!({})),
        ("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": id })),
        ("mutation($input: StartImportInput!) { startImport(input: $input) { id } }", import),
    ]
}

/// Requests for files that use the store or the datasets.
fn requests(server: &Server) -> Vec<RequestBuilder> {
    let (client, url) = (server.client(), &server.url);
    vec![
        client.post(format!("{url}/uploads")).body("n\n1\n"),
        client.get(format!("{url}/datasets/people.csv")),
        client.get(format!("{url}/download/{ID}")),
    ]
}

/// Checks that ended tasks left nothing but their results: no staging, no table that no dataset has, no working files.
async fn nothing_is_left(database: &str, server: &Server, results: &[String]) {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let sql = "SELECT (SELECT count(*) FROM pausa_datasets.staging WHERE NOT published)
        + (SELECT count(*) FROM pg_tables WHERE schemaname = 'pausa_datasets' AND tablename LIKE '%-%-%'
            AND tablename NOT IN (SELECT relation FROM pausa_datasets.dataset))";
    let left: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 0, "stagings and tables");
    has_only_results(server, results);
}

/// Returns the lines of a log that an outage adds to.
pub fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect()
}
