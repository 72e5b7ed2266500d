//! The probes /healthz and /readyz.

use axum::extract::State;
use axum::http::StatusCode;

use crate::state::AppState;

/// Returns 200 as long as the process runs.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// Returns 200 if the task store responds and no shutdown has begun, else 503 with the reason.
pub async fn ready(State(app): State<AppState>) -> (StatusCode, String) {
    if app.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    match app.store.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "not ready: store unavailable");
            (StatusCode::SERVICE_UNAVAILABLE, "the task store is unavailable\n".to_owned())
        }
    }
}
