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

/// Returns 200 and the warnings of this node if it can serve requests, else 503 with the reason. Answers within a second.
pub async fn ready(State(app): State<AppState>) -> (StatusCode, String) {
    match not_ready(&app).await {
        None => {
            let warnings = app.runner.warnings().into_iter().map(|text| format!("warning: {text}\n"));
            (StatusCode::OK, std::iter::once("ready\n".to_owned()).chain(warnings).collect())
        }
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// Returns why this node should get no requests.
async fn not_ready(app: &AppState) -> Option<String> {
    if app.draining.is_cancelled() {
        return Some("draining".to_owned());
    }
    if let Some(problem) = store_problem(app).await {
        return Some(format!("the task store is unavailable: {problem}"));
    }
    (!app.runner.lease_is_held()).then(|| "the lease of this node is lost".to_owned())
}

/// Probes the task store. Returns the reason for which it cannot be used.
async fn store_problem(app: &AppState) -> Option<String> {
    if let Some(gate) = app.store.gate() {
        return gate.problem_within(STORE_LIMIT).await;
    }
    match tokio::time::timeout(STORE_LIMIT, app.store.ping()).await {
        Ok(answer) => answer.err().map(|error| error.to_string()),
        Err(_) => Some(format!("no answer within {STORE_LIMIT:?}")),
    }
}
