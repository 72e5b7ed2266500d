//! Timers, with the real server and a real receiver.

mod answers;
mod batches;
mod clock;
mod controls;
mod hosts;
mod kills;
mod notices;
mod outages;
mod sending;
mod shutdown;

use serde_json::{Value, json};

use crate::harness::server::Server;

/// Starts a server that may send to loopback, with short delays between attempts.
async fn server() -> Server {
    with(&[]).await
}

/// The same with more settings.
async fn with(settings: &[(&str, &str)]) -> Server {
    let base = [("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_TIMER_BACKOFF_SECONDS", "0.05")];
    Server::with(&[&base, settings].concat()).await
}

/// Returns the input of a timer for `url` after `seconds`.
fn after(url: &str, seconds: f64) -> Value {
    json!({ "url": url, "when": { "after": { "seconds": seconds } } })
}

/// Returns the input with more fields.
fn and(mut input: Value, more: Value) -> Value {
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

/// Returns the states in the task's history.
fn states(task: &Value) -> Vec<&str> {
    task["history"].as_array().unwrap().iter().map(|line| line["to"].as_str().unwrap()).collect()
}
