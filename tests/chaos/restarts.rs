//! Clean shutdowns and new starts: running tasks are released, paused tasks stay paused.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use super::folder::is_exact;
use super::random::Random;
use crate::harness::csv;
use crate::harness::server::{PATIENCE, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_shutdown_releases_tasks_and_counts_no_attempt() {
    let mut random = Random::new();
    let mut server = Server::with(&[("PAUSA_MAX_RUNNING", "4")]).await;
    let file = csv::people(5000);
    let upload = server.upload(&*file).await;
    let mut ids = vec![server.pi(200_000).await];
    for dataset in ["one", "two"] {
        ids.push(server.import(&upload, json!({ "dataset": dataset, "maxRowsPerSecond": 2500 })).await);
    }
    for round in 1..=3 {
        server.until_done(&ids[1], round * random.between(200, 900)).await;
        let before = server.task(&ids[2]).await["progress"]["done"].as_u64().unwrap();
        assert_eq!(server.terminate().await, Some(0));
        server.restart().await;
        for id in &ids {
            let task = server.task(id).await;
            assert_eq!((task["attempt"].as_u64(), &task["error"]), (Some(0), &json!(null)), "{task}");
            assert!(["QUEUED", "RUNNING", "COMPLETED"].contains(&task["state"].as_str().unwrap()), "{task}");
        }
        let after = server.task(&ids[2]).await;
        assert!(after["progress"]["done"].as_u64().unwrap() >= before);
        let history = after["history"].as_array().unwrap();
        assert!(history.iter().any(|change| change["reason"] == "the node shuts down"), "{history:?}");
    }
    for id in &ids {
        let task = server.until(id, "COMPLETED").await;
        assert_eq!(task["attempt"], 0);
    }
    is_exact(&server, "one", &file).await;
    is_exact(&server, "two", &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_task_stays_paused_after_a_kill() {
    let mut server = Server::start().await;
    let file = csv::people(3000);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 2000 })).await;
    server.until_done(&id, 500).await;
    assert_eq!(server.control("pause", &id).await, "PAUSED");
    let before = server.task(&id).await;
    for _ in 0..3 {
        server.kill().await;
        server.restart().await;
        assert_eq!(server.task(&id).await, before, "no field changes");
    }
    server.control("resume", &id).await;
    server.until(&id, "COMPLETED").await;
    is_exact(&server, "people", &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_folder_is_refused() {
    let server = Server::start().await;
    let second = Command::new(env!("CARGO_BIN_EXE_pausa"))
        .env("PAUSA_LISTEN", "127.0.0.1:0")
        .env("PAUSA_DATA_DIR", server.folder())
        .env_remove("PAUSA_BLESS")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let second = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    let store = server.folder().join("pausa.db");
    assert_eq!(
        said.lines().last().unwrap(),
        format!(
            "pausa: another server uses {}. SQLite supports one node; use PostgreSQL for several nodes",
            store.display()
        )
    );
    assert!(server.get("/healthz").await.status().is_success(), "the first process continues");
    let id = server.pi(1000).await;
    server.until(&id, "COMPLETED").await;
}
