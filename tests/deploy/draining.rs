//! A node that shuts down goes on serving for `shutdown.drain`, and asks its clients to go elsewhere.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::Instant;

use crate::harness::csv;
use crate::harness::plain::PlainConnection;
use crate::harness::server::{PATIENCE, Server};
use crate::harness::watch::Watch;

const VERSION: &str = "{ server { version } }";

/// Asks /readyz until it answers 503. Returns the text.
async fn unready(server: &Server) -> String {
    let asked = async {
        loop {
            let answer = server.get("/readyz").await;
            if answer.status() == 503 {
                return answer.text().await.unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap()
}

#[tokio::test]
async fn a_draining_node_serves_and_closes_each_connection_after_its_answer() {
    let server = Server::with(&[("PAUSA_SHUTDOWN_DRAIN", "3600")]).await;
    let mut open = PlainConnection::open(&server.url).await.unwrap();
    let operation = json!({ "query": VERSION });
    let before = open.ask(&operation).await.unwrap();
    assert!(before.status == 200 && !before.closes, "{before:?}");
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let ask_http2 =
        async || http2.post(format!("{}/graphql", server.url)).json(&operation).send().await.unwrap().status();
    assert_eq!(ask_http2().await, 200);

    server.signal(Signal::TERM);
    assert_eq!(unready(&server).await, "draining\n");
    assert_eq!(server.get("/healthz").await.status(), 200);
    let mut new = PlainConnection::open(&server.url).await.unwrap();
    for connection in [&mut open, &mut new] {
        let answer = connection.ask(&operation).await.unwrap();
        assert!(answer.status == 200 && answer.closes && answer.body.contains("version"), "{answer:?}");
        assert!(connection.is_closed().await);
    }
    for _ in 0..3 {
        assert_eq!(ask_http2().await, 200, "a connection that got GOAWAY is replaced by a new one");
    }
}

#[tokio::test]
async fn a_draining_node_hands_its_tasks_over_at_once_and_a_second_signal_ends_it() {
    let mut server = Server::with(&[("PAUSA_SHUTDOWN_DRAIN", "3600")]).await;
    let upload = server.upload(csv::people(50_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 500 })).await;
    server.until_done(&id, 1).await;
    let mut watch = Watch::progress(&server.url, &id).await;
    server.signal(Signal::TERM);
    watch.until(|task| task["state"] == "QUEUED").await;
    assert_eq!(server.verb_state("pause", &id).await, "PAUSED");
    watch.until(|task| task["state"] == "PAUSED").await;
    assert_eq!(server.task(&id).await["attempt"], 0);
    assert_eq!(server.terminate().await, Some(1), "a second signal");
}

#[tokio::test]
async fn subscriptions_end_with_1001_after_the_drain() {
    let mut server = Server::with(&[("PAUSA_SHUTDOWN_DRAIN", "1")]).await;
    let id = server.pi(100).await;
    server.until(&id, "COMPLETED").await;
    let mut watch =
        Watch::open(&server.url, "taskChanges", "subscription { taskChanges { task { id } } }", json!({})).await;
    let begin = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(watch.close_code().await, Some(1001));
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_worker_and_a_node_alone_do_not_drain() {
    for settings in [&[("PAUSA_ROLE", "worker"), ("PAUSA_SHUTDOWN_DRAIN", "3600")][..], &[]] {
        assert_eq!(Server::with(settings).await.terminate().await, Some(0));
    }
}
