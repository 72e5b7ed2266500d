//! PgBouncer between Pausa and PostgreSQL.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::postgres;
use crate::harness::csv;
use crate::harness::pgbouncer::PgBouncer;
use crate::harness::server::{self, Server};

/// sqlx sends this parameter. Without the line, PgBouncer refuses the connection.
const LINES: &str = "ignore_startup_parameters=extra_float_digits";

/// Returns the settings that a client finds which made none. Connections of Pausa set each of them.
async fn settings_at(url: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut settings = Vec::new();
    for name in ["search_path", "enable_seqscan", "jit", "statement_timeout"] {
        // Text, without a prepared statement: as the pooler in every mode passes it.
        let row = sqlx::raw_sql(AssertSqlSafe(format!("SHOW {name}"))).fetch_one(&mut connection).await.unwrap();
        settings.push(format!("{name} = {}", row.get::<String, _>(0)));
    }
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_of_transactions_is_refused_with_the_reason_and_leaves_no_settings() {
    let postgres = postgres().await;
    for (mode, lines, expected) in [
        ("transaction", LINES, "pool_mode = session"),
        ("transaction", &*format!("{LINES}\nserver_round_robin=1"), "pool_mode = session"),
        ("statement", LINES, "pool_mode = session"),
        ("session", "", "ignore_startup_parameters = extra_float_digits"),
    ] {
        let pooler = PgBouncer::start(&postgres, mode, lines).await;
        let folder = tempfile::tempdir().unwrap();
        let url = format!("database_url={}", pooler.url_of("postgres"));
        for _ in 0..3 {
            let (code, printed) = server::run(folder.path(), &["--set", &url]).await;
            assert_eq!(code, Some(1), "{mode}: {printed}");
            assert!(printed.contains(expected), "{mode}: {printed}");
        }
        let datasets = format!("datasets_url={}", pooler.url_of("postgres"));
        let (code, printed) = server::run(folder.path(), &["--set", &datasets]).await;
        assert!(code == Some(1) && printed.contains(expected), "{mode}: {printed}");
        if !lines.is_empty() {
            assert_eq!(settings_at(&pooler.url_of("postgres")).await, settings_at(&postgres.url()).await, "{mode}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_work_through_a_pooler_of_sessions() {
    let postgres = postgres().await;
    let pooler = PgBouncer::start(&postgres, "session", LINES).await;
    let files = tempfile::tempdir().unwrap();
    let url = pooler.url_of("postgres");
    let settings = [("PAUSA_STORE_CONNECTIONS", "8"), ("PAUSA_DATASETS_CONNECTIONS", "4")];
    let node = || Server::sharing(&url, &files, &settings);
    let (a, b) = (node().await, node().await);
    let upload = a.upload(csv::people(5_000)).await;
    let id = a.import(&upload, json!({ "dataset": "people" })).await;
    b.until(&id, "COMPLETED").await;
    assert_eq!(csv::cells(&b.exported("people").await), csv::cells(csv::people(5_000).as_bytes()));
}
