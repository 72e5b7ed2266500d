//! Starts of the program, memory at rest, and calls under load.

use serde_json::json;

use crate::figures::{memory, percentile, spread, timed};
use crate::harness::csv;
use crate::harness::server::Server;

/// Number of starts.
const STARTS: usize = 9;

/// Number of calls that are measured.
const CALLS: usize = 200;

pub async fn measure() {
    starts().await;
    imports_begin().await;
    busy_calls().await;
}

/// Measures a start with an empty folder, and memory at rest.
async fn starts() {
    let (mut cold, mut rest) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut server = None;
        cold.push(timed(async { server = Some(Server::start().await) }).await);
        rest.push(memory(server.unwrap().pid(), "VmRSS"));
    }
    spread("cold start, empty folder, until it is ready", cold);
    println!("memory at rest: median {:.1} MB", percentile(&mut rest, 0.5));
}

/// Measures the answer to a start of a task, while others run.
async fn imports_begin() {
    let server = Server::start().await;
    let upload = server.upload(csv::wide(1_000_000, 10)).await;
    let mut answers = Vec::new();
    for n in 0..20 {
        answers.push(timed(server.import(&upload, json!({ "dataset": format!("d{n}") }))).await);
    }
    spread("startImport of 1,000,000 rows x 10 columns answers", answers);
}

/// Measures calls while every core computes.
async fn busy_calls() {
    let server = Server::start().await;
    for _ in 0..2 {
        let id = server.pi(20_000_000).await;
        server.until(&id, "RUNNING").await;
    }
    let mut times = Vec::new();
    for _ in 0..CALLS {
        times.push(timed(server.data("{ tasks { nodes { id state progress { done } } } }", json!({}))).await);
    }
    spread("a list of tasks while every core computes pi", times);
}
