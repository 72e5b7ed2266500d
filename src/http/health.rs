//! Is it alive, and can it serve?

use axum::extract::State;
use axum::http::StatusCode;

use super::Site;

/// 200 as long as the process answers.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// 200 where the store answers and the node is not ending, else 503 with the reason.
pub async fn ready(State(site): State<Site>) -> (StatusCode, String) {
    if site.ending.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "ending\n".to_owned());
    }
    match site.store.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "not ready: store unavailable");
            (StatusCode::SERVICE_UNAVAILABLE, "the task store is away\n".to_owned())
        }
    }
}
