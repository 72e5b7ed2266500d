//! Concurrent requests: each answer shows one complete change, and the rows are exact.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::folder::{is_exact, is_tidy};
use super::random::Random;
use crate::harness::csv;
use crate::harness::server::Server;

const CLIENTS: usize = 4;
const REQUESTS: usize = 40;

/// Sends random requests. Each answer is a state, or a refusal that says why.
async fn client(server: &Server, tasks: &[String], doomed: &str, mut random: Random) {
    for _ in 0..REQUESTS {
        let id = tasks[usize::try_from(random.between(0, tasks.len() as u64 - 1)).unwrap()].as_str();
        let verb = if id == doomed && random.once_in(10) { "terminate" } else { random.pick(&["pause", "resume"]) };
        let answer = server.verb(verb, id).await;
        match answer["data"][verb]["state"].as_str() {
            Some(_) => {}
            None => assert_eq!(answer["errors"][0]["extensions"]["code"], "INVALID_STATE", "{verb}: {answer}"),
        }
    }
}

/// Checks that each change in the history begins with the state in which the one before it ended.
fn has_complete_history(task: &Value) {
    let history = task["history"].as_array().unwrap();
    assert_eq!(history[0]["from"], Value::Null);
    for pair in history.windows(2) {
        assert_eq!(pair[1]["from"], pair[0]["to"], "{history:#?}");
    }
    assert_eq!(history.last().unwrap()["to"], task["state"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_clients_send_random_requests() {
    let mut random = Random::new();
    let server = Server::with(&[("PAUSA_MAX_RUNNING", "4")]).await;
    let file = csv::people(4000);
    let upload = server.upload(&*file).await;
    let mut tasks = Vec::new();
    for dataset in ["one", "two", "doomed"] {
        tasks.push(server.import(&upload, json!({ "dataset": dataset, "maxRowsPerSecond": 2000 })).await);
    }
    let doomed = tasks[2].clone();
    let clients = (0..CLIENTS).map(|_| client(&server, &tasks, &doomed, random.split()));
    join_all(clients).await;

    // The last requests: resume the first two, and terminate the other.
    server.verb("terminate", &doomed).await;
    for id in &tasks[..2] {
        server.verb("resume", id).await;
        server.until(id, "COMPLETED").await;
    }
    let ended = server.until(&doomed, if server.rows("doomed").await.is_some() { "COMPLETED" } else { "TERMINATED" });
    assert_eq!(ended.await["attempt"], 0);
    for id in &tasks {
        has_complete_history(&server.task(id).await);
    }
    is_exact(&server, "one", &file).await;
    is_exact(&server, "two", &file).await;
    let kept = if server.rows("doomed").await.is_some() { 3 } else { 2 };
    let imports: Vec<_> = tasks[..kept].iter().map(String::as_str).collect();
    let exports = server.data("{ tasks(filter: { kinds: [EXPORT] }) { edges { node { id } } } }", json!({})).await;
    let exports: Vec<_> = exports["tasks"]["edges"].as_array().unwrap().iter().collect();
    let results: Vec<_> = exports.iter().map(|edge| edge["node"]["id"].as_str().unwrap()).collect();
    is_tidy(&server, &imports, &results);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_pauses_and_resumes_lose_nothing() {
    let server = Server::start().await;
    let file = csv::people(3000);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 3000 })).await;
    let mut done = 0;
    for _ in 0..50 {
        let answer = server.verb("pause", &id).await;
        let now = answer["data"]["pause"]["progress"]["done"].as_u64();
        let Some(now) = now else { break };
        assert!(now >= done);
        done = now;
        server.verb("resume", &id).await;
    }
    server.until(&id, "COMPLETED").await;
    let task = server.task(&id).await;
    assert_eq!((&task["attempt"], &task["rowsImported"]), (&json!(0), &json!(3000)));
    has_complete_history(&task);
    is_exact(&server, "people", &file).await;
}
