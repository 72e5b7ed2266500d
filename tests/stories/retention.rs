//! Finished tasks, and only these, are deleted after the configured retention time.

use serde_json::json;

use crate::harness::receiver::{Answer, Receiver};
use crate::harness::server::{PATIENCE, Server};

/// Waits until the server has only these tasks.
async fn left(server: &Server, ids: &[&str]) {
    let gone = async {
        loop {
            let tasks = server.data("{ tasks { nodes { id } } }", json!({})).await["tasks"]["nodes"].take();
            let mut found: Vec<_> = tasks.as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
            found.sort_unstable();
            if found == ids {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the tasks were not deleted in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_tasks_are_deleted_in_time_with_their_files() {
    let settings = [("PAUSA_RETENTION_SECONDS", "1"), ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")];
    let mut server = Server::with(&settings).await;
    let receiver = Receiver::start(|_, _| Answer::Status(410)).await;
    let paused = server.timer(json!({ "url": receiver.url, "when": { "after": { "hours": 1 } } })).await;
    assert_eq!(server.control("pause", &paused).await, "PAUSED");
    let waits = server.timer(json!({ "url": receiver.url, "when": { "after": { "hours": 1 } } })).await;
    let pi = server.pi(1000).await;
    server.until(&pi, "COMPLETED").await;
    assert_eq!(server.get(&format!("/download/{pi}")).await.status(), 200);
    let upload = server.upload("a,b\n1,2\n").await;
    let import = server.import(&upload, json!({ "dataset": "kept" })).await;
    server.until(&import, "COMPLETED").await;
    for _ in 0..150 {
        server.timer(json!({ "url": receiver.url, "when": { "after": {} } })).await;
    }
    let terminated = server.pi(50_000_000).await;
    server.control("terminate", &terminated).await;
    left(&server, &[&paused, &waits]).await;
    assert_eq!(server.get(&format!("/download/{pi}")).await.status(), 404);
    assert_eq!(server.rows("kept").await, Some(1), "datasets remain");
    let results = std::fs::read_dir(server.folder().join("files/results")).unwrap().count();
    assert_eq!(results, 0, "files are deleted with their tasks");

    // Tasks whose retention time ended while no process ran are deleted too.
    let late = server.pi(1000).await;
    server.until(&late, "COMPLETED").await;
    server.kill().await;
    server.restart().await;
    left(&server, &[&paused, &waits]).await;
}
