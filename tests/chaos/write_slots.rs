//! Imports into PostgreSQL at full speed, with several writes in progress: killed, and frozen with an open transaction.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::folder::is_exact;
use super::random::Random;
use super::two_nodes::{LEASE, TwoNodes, roles};
use crate::datasets::database::TestDatabase;
use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::server::{PATIENCE, Server};
use crate::harness::watch::Watch;

const ROWS: usize = 150_000;
const MANY: usize = 500_000;

/// Watches a task until its progress exceeds `done`, or it ends.
async fn moved(server: &Server, id: &str, done: u64) -> Value {
    let mut watch = Watch::progress(&server.url, id).await;
    let past = |task: &Value| task["progress"]["done"].as_u64().unwrap() > done;
    watch.until(|task| task["state"] == "COMPLETED" || past(task)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_full_speed_leave_the_rows_in_order() {
    let mut random = Random::new();
    let database = TestDatabase::postgres().await;
    let mut server = Server::with(&[("PAUSA_DATASETS_URL", &database.url), ("PAUSA_CRASH_LIMIT", "100")]).await;
    let file = csv::wide(ROWS, 4);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "wide" })).await;
    let mut done = 0;
    for _ in 0..6 {
        let now = moved(&server, &id, done + random.between(0, 15_000)).await;
        server.kill().await;
        server.restart().await;
        let after = server.task(&id).await["progress"]["done"].as_u64().unwrap();
        assert!(after >= now["progress"]["done"].as_u64().unwrap(), "it went back to {after} from {now}");
        done = after;
    }
    let task = server.until(&id, "COMPLETED").await;
    assert_eq!(server.task(&id).await["rowsImported"], ROWS, "{task}");
    is_exact(&server, "wide", &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pauses_at_full_speed_lose_nothing() {
    let mut random = Random::new();
    let database = TestDatabase::postgres().await;
    let server = Server::with(&[("PAUSA_DATASETS_URL", &database.url)]).await;
    let file = csv::wide(ROWS, 4);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "wide" })).await;
    let mut done = 0;
    for _ in 0..8 {
        moved(&server, &id, done + random.between(0, 12_000)).await;
        let answer = server.verb("pause", &id).await;
        let paused = &answer["data"]["pause"];
        if paused["state"] != "PAUSED" {
            break;
        }
        done = paused["progress"]["done"].as_u64().unwrap();
        // The shown rows are stored, perhaps with rows that the disk had not confirmed. The progress does not change.
        let committed = "SELECT rows FROM pausa_datasets.staging";
        let there = database.number(committed).await;
        assert!(there >= i64::try_from(done).unwrap(), "{there} of {done}");
        assert_eq!(server.task(&id).await["progress"]["done"], done);
        assert_eq!(database.number(committed).await, there);
        server.control("resume", &id).await;
    }
    server.until(&id, "COMPLETED").await;
    is_exact(&server, "wide", &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_frozen_with_open_writes_does_not_block_the_end() {
    let mut random = Random::new();
    let mut two = TwoNodes::start(&[LEASE]).await;
    // So large that it does not end before.
    let file = csv::wide(MANY, 4);
    let upload = two.a.upload(&*file).await;
    for end in ["terminate", "complete"] {
        let id = two.a.import(&upload, json!({ "dataset": "wide" })).await;
        two.a.until_done(&id, random.between(1, 20_000)).await;
        let (frozen, other) = roles(&mut two.a, &mut two.b, &id).await;
        frozen.signal(Signal::STOP);
        if end == "terminate" {
            terminate(other, &id).await;
            other.until(&id, "TERMINATED").await;
            assert_eq!(other.rows("wide").await, None);
        } else {
            other.until(&id, "COMPLETED").await;
            is_exact(other, "wide", &file).await;
        }
        frozen.signal(Signal::CONT);
        // Once it claims work again, it has noticed, and has changed nothing.
        let next = frozen.pi(20_000).await;
        frozen.until(&next, "COMPLETED").await;
        assert_eq!(frozen.rows("wide").await, (end == "complete").then_some(MANY as u64));
        assert_eq!(two.stagings().await, 0);
    }
}

/// Terminates a task whose row the frozen node may have locked. PostgreSQL ends that transaction after a while; until then calls are
/// answered with UNAVAILABLE.
async fn terminate(server: &Server, id: &str) {
    let accepted = async {
        loop {
            let query = "mutation($id: ID!) { terminate(id: $id) { state } }";
            let answer = server.ask(query, json!({ "id": id })).await;
            match answer["errors"][0]["extensions"]["code"].as_str() {
                None => return,
                Some(code) => assert_eq!(code, "UNAVAILABLE", "{answer}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, accepted).await.expect("the task cannot be terminated");
}

/// Commits do not wait for the disk: what the database loses in a crash was never reported as progress. The outage counts no
/// attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_database_takes_back_no_progress() {
    let mut random = Random::new();
    let postgres = Postgres::start();
    let url = postgres.url();
    let retry = [("PAUSA_RETRY_BACKOFF_SECONDS", "0.1"), ("PAUSA_RETRY_LIMIT", "1")];
    let server = Server::with(&[[("PAUSA_DATASETS_URL", url.as_str())].as_slice(), &retry].concat()).await;
    let file = csv::wide(ROWS, 4);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "wide" })).await;
    let mut told = 0;
    for _ in 0..2 {
        let now = moved(&server, &id, told + random.between(0, 30_000)).await;
        told = now["progress"]["done"].as_u64().unwrap();
        postgres.crash();
        if now["state"] == "COMPLETED" {
            break;
        }
    }
    let mut watch = Watch::progress(&server.url, &id).await;
    while let Some(task) = watch.next().await {
        let done = task["progress"]["done"].as_u64().unwrap();
        assert!(done >= told, "it went back to {done} from {told}");
        assert_ne!(task["state"], "FAILED", "{task}");
        told = done;
    }
    assert_eq!(server.rows("wide").await, Some(ROWS as u64));
    is_exact(&server, "wide", &file).await;
}
