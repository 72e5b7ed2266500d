//! The probes /healthz and /readyz.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use crate::state::AppState;

/// Maximum time in which the task store must respond.
const STORE_LIMIT: Duration = Duration::from_millis(800);

/// Returns 200 as long as the process runs.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// Returns 200 if this node can serve requests, else 503 with the reason. Answers within a second.
pub async fn ready(State(app): State<AppState>) -> (StatusCode, String) {
    match not_ready(&app).await {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Returns why this node should get no requests.
async fn not_ready(app: &AppState) -> Option<String> {
    if app.draining.is_cancelled() {
        return Some("draining".to_owned());
    }
    store_problem(app).await.map(|problem| format!("the task store is unavailable: {problem}"))
}

/// Asks the task store. Returns why it cannot be used.
async fn store_problem(app: &AppState) -> Option<String> {
    if let Some(gate) = app.store.gate() {
        return gate.problem_within(STORE_LIMIT).await;
    }
    match tokio::time::timeout(STORE_LIMIT, app.store.ping()).await {
        Ok(answer) => answer.err().map(|error| error.to_string()),
        Err(_) => Some(format!("no answer within {STORE_LIMIT:?}")),
    }
}
