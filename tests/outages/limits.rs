//! Few connections: the pools keep their sizes, and two nodes share a limit of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use pausa::clock::Clock;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{ANSWER, postgres, warnings};
use crate::harness::csv;
use crate::harness::server::Server;

/// Connections of a node with pools of two: both pools, one each for syncs of imports, LISTEN and the monitor.
const OF_A_NODE: i64 = 2 + 2 + 1 + 1 + 1;

/// Counts the connections of a role until it is told to stop.
async fn most_connections(url: String, stop: Arc<AtomicBool>) -> i64 {
    let most = AtomicI64::new(0);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'limited'";
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
        most.fetch_max(count, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    most.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_work_within_a_role_limit_of_fourteen() {
    let postgres = postgres().await;
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    let limit = 2 * OF_A_NODE;
    assert_eq!(limit, 14);
    let create = format!("CREATE ROLE limited LOGIN CONNECTION LIMIT {limit}; CREATE DATABASE few OWNER limited");
    for statement in create.split("; ") {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    }
    let url = postgres.url_of("few").replace("postgres@", "limited@");
    let files = tempfile::tempdir().unwrap();
    let folder = format!("file://{}", files.path().display());
    let settings = [
        ("PAUSA_DATABASE_URL", url.as_str()),
        ("PAUSA_FILES_URL", &folder),
        ("PAUSA_STORE_CONNECTIONS", "2"),
        ("PAUSA_DATASETS_CONNECTIONS", "2"),
    ];
    let (mut a, log_a) = Server::logging(&settings).await;
    let (mut b, log_b) = Server::logging(&settings).await;
    let stop = Arc::new(AtomicBool::new(false));
    let counting = tokio::spawn(most_connections(postgres.url(), Arc::clone(&stop)));
    let upload = a.upload(csv::people(20_000)).await;
    let mut imports = Vec::new();
    for n in 0..6 {
        let server = if n % 2 == 0 { &a } else { &b };
        imports.push((n, server.import(&upload, json!({ "dataset": format!("people{n}") })).await));
    }
    for (n, id) in &imports {
        a.until(id, "COMPLETED").await;
        assert_eq!(b.rows(&format!("people{n}")).await, Some(20_000));
    }
    assert_eq!(csv::cells(&b.exported("people0").await), csv::cells(csv::people(20_000).as_bytes()));
    stop.store(true, Ordering::Relaxed);
    let most = counting.await.unwrap();
    eprintln!("limits: at most {most} connections of {limit}");
    assert!(most <= limit, "{most}");
    assert_eq!((a.terminate().await, b.terminate().await), (Some(0), Some(0)));
    for log in [log_a.await.unwrap(), log_b.await.unwrap()] {
        assert_eq!(warnings(&log), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_below_the_pools_is_named_in_the_log() {
    let postgres = postgres().await;
    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    for statement in ["CREATE ROLE limited LOGIN CONNECTION LIMIT 9", "CREATE DATABASE few OWNER limited"] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    let url = postgres.url_of("few").replace("postgres@", "limited@");
    let (mut server, log) = Server::logging(&[("PAUSA_DATABASE_URL", &url)]).await;
    // The pools may open 24 connections, and each call wants one of its own.
    let begin = Clock::monotonic();
    let calls = (0..24).map(|_| server.ask("{ tasks { totalCount } datasets { totalCount } }", json!({})));
    let answers = futures_util::future::join_all(calls).await;
    let slowest = begin.elapsed();
    let refused = answers.iter().filter(|answer| answer.get("errors").is_some()).count();
    eprintln!("limits: {refused} of 24 calls refused, the slowest after {slowest:?}");
    assert!(refused > 0 && slowest < 2 * ANSWER, "{refused} {slowest:?}");
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    assert!(log.contains("too many connections for role \"limited\". Lower store_connections"), "{log}");
    assert!(!log.contains("pool timed out"), "{log}");
}
