//! Timers, against the real server and a real receiver.

mod answers;
mod batches;
mod clock;
mod controls;
mod kills;
mod lanes;
mod sending;
mod shutdown;

use serde_json::{Value, json};

use crate::harness::server::Server;

/// A server that may ask loopback, and whose tries follow each other quickly.
async fn server() -> Server {
    with(&[]).await
}

/// The same with more settings.
async fn with(settings: &[(&str, &str)]) -> Server {
    let base = [("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_TIMER_BACKOFF_SECONDS", "0.05")];
    Server::with(&[&base, settings].concat()).await
}

/// A timer for `url` after so many seconds.
fn after(url: &str, seconds: f64) -> Value {
    json!({ "url": url, "when": { "after": { "seconds": seconds } } })
}

/// The same with more of its input.
fn and(mut input: Value, more: Value) -> Value {
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

/// The states of its history.
fn states(task: &Value) -> Vec<&str> {
    task["history"].as_array().unwrap().iter().map(|line| line["to"].as_str().unwrap()).collect()
}
