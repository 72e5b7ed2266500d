//! kill -9 while a task is pausing or terminating: the next start completes the request.

use serde_json::{Value, json};

use super::folder::{is_exact, is_tidy, same_cells};
use super::random::Random;
use crate::harness::csv;
use crate::harness::server::Server;

const BULK: &str = "mutation($verb: ControlVerb!, $id: ID!) {
    controlTasks(verb: $verb, filter: { ids: [$id] }) { changed tasks { state } } }";

/// Sends the request without waiting for the stop, and kills the server at once.
async fn request_and_kill(server: &mut Server, verb: &str, id: &str) -> Value {
    let answer = server.data(BULK, json!({ "verb": verb, "id": id })).await;
    server.kill().await;
    server.restart().await;
    answer["controlTasks"]["tasks"][0]["state"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_a_kill_interrupts_is_completed() {
    let mut random = Random::new();
    let mut server = Server::start().await;
    let file = csv::wide(50_000, 4);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "wide", "maxRowsPerSecond": 20_000 })).await;
    let mut done = 0;
    for _ in 0..5 {
        server.until_done(&id, done + random.between(1, 4000)).await;
        assert_eq!(request_and_kill(&mut server, "PAUSE", &id).await, "PAUSING");
        let paused = server.until(&id, "PAUSED").await;
        let now = paused["progress"]["done"].as_u64().unwrap();
        assert!(now >= done, "{now} after {done}");
        done = now;
        // The progress is what is committed. It does not change before the resume, even after another kill.
        server.kill().await;
        server.restart().await;
        let task = server.task(&id).await;
        assert_eq!((task["state"].as_str(), task["progress"]["done"].as_u64()), (Some("PAUSED"), Some(done)));
        server.control("resume", &id).await;
    }
    server.until(&id, "COMPLETED").await;
    is_exact(&server, "wide", &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_termination_that_a_kill_interrupts_is_completed_and_leaves_nothing() {
    let mut random = Random::new();
    let mut server = Server::start().await;
    let file = csv::wide(40_000, 4);
    let upload = server.upload(&*file).await;
    let kept = server.import(&upload, json!({ "dataset": "kept" })).await;
    server.until(&kept, "COMPLETED").await;
    for round in 0..6 {
        let id = match round % 3 {
            0 => server.import(&upload, json!({ "dataset": "again", "maxRowsPerSecond": 4_000 })).await,
            1 => server.pi(5_000_000).await,
            _ => server.export("kept").await,
        };
        if round % 3 < 2 {
            server.until_done(&id, random.between(1, 8000)).await;
        }
        let state = request_and_kill(&mut server, "TERMINATE", &id).await;
        if round % 3 < 2 {
            assert_eq!(state, "TERMINATING");
        }
        let task = server.until(&id, if state.is_null() { "COMPLETED" } else { "TERMINATED" }).await;
        assert_eq!(task["error"], Value::Null);
        let results = if state.is_null() { vec![id.as_str()] } else { Vec::new() };
        is_tidy(&server, &[&kept], &results);
        if state.is_null() {
            let delete = "mutation($id: ID!) { deleteTask(id: $id) }";
            server.data(delete, json!({ "id": id })).await;
        }
        assert_eq!(server.rows("again").await, None);
    }
    // The name of the terminated import is free again, and the other dataset is unchanged.
    let id = server.import(&upload, json!({ "dataset": "again" })).await;
    server.until(&id, "COMPLETED").await;
    is_exact(&server, "again", &file).await;
    is_exact(&server, "kept", &file).await;
}

/// Tasks so short that a kill hits any part of them: their start, their only commit, the publishing, or the moment after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_tasks_survive_a_kill_at_any_moment() {
    let mut random = Random::new();
    let mut server = Server::start().await;
    let file = csv::people(2000);
    let upload = server.upload(&*file).await;
    let kept = server.import(&upload, json!({ "dataset": "kept" })).await;
    server.until(&kept, "COMPLETED").await;
    let (mut imports, mut results) = (vec![kept], Vec::new());
    for round in 1..=12 {
        let dataset = format!("round_{round}");
        imports.push(server.import(&upload, json!({ "dataset": dataset })).await);
        results.push(server.export("kept").await);
        results.push(server.pi(3000).await);
        // This number of requests is the random delay.
        for _ in 0..random.between(0, 40) {
            server.get("/healthz").await;
        }
        server.kill().await;
        server.restart().await;
        for id in imports.iter().chain(&results) {
            let task = server.until(id, "COMPLETED").await;
            assert!(task["attempt"].as_u64().unwrap() <= 1, "{task}");
        }
        assert_eq!(server.rows(&dataset).await, Some(2000));
    }
    let imports: Vec<_> = imports.iter().map(String::as_str).collect();
    let results: Vec<_> = results.iter().map(String::as_str).collect();
    is_tidy(&server, &imports, &results);
    for export in results.iter().step_by(2) {
        let bytes = server.get(&format!("/download/{export}")).await.bytes().await.unwrap();
        same_cells(&bytes, &file);
    }
    is_exact(&server, "round_12", &file).await;
}
