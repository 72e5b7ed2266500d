//! The route /metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::clock::Clock;
use crate::database::log_failure;
use crate::metrics::{Format, WaitingTasks};
use crate::state::AppState;

/// Minimum time between two counts of waiting tasks.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Time limit of a count.
const COUNT_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause after a count, in multiples of its duration: counting takes at most 2 % of a CPU core.
const PAUSE_FACTOR: u32 = 50;

/// Returns all metrics as text, in the format that the client accepts.
pub async fn show(State(app): State<AppState>, headers: HeaderMap) -> Response {
    refresh(&app).await;
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static(format.content_type())), (VARY, HeaderValue::from_static("Accept"))];
    (headers, app.metrics.encode(format)).into_response()
}

/// Updates the gauges that are read only at a scrape.
async fn refresh(app: &AppState) {
    let metrics = &app.metrics;
    metrics.tasks.running(app.runner.running());
    let (open, idle, limit) = app.store.connections();
    metrics.store.pool(open, idle, limit);
    if let Some((open, idle, limit)) = app.datasets.connections() {
        metrics.datasets.pool(open, idle, limit);
    }
    if let Ok((free, size)) = app.files.scratch.space() {
        metrics.disk.set(free, size);
    }
    let mut next = app.next_backlog_count.lock().await;
    let begin = Clock::monotonic();
    if next.is_none_or(|next| begin >= next) {
        let waiting = count_waiting(app).await;
        metrics.tasks.waiting(waiting.as_ref());
        *next = Some(begin + COUNT_INTERVAL.max(begin.elapsed() * PAUSE_FACTOR));
    }
}

/// Counts waiting tasks. None if the store does not respond in time.
async fn count_waiting(app: &AppState) -> Option<WaitingTasks> {
    let now = app.clock.now();
    let backlog = tokio::time::timeout(COUNT_TIMEOUT, app.store.backlog(now)).await.ok()?;
    let backlog = backlog.inspect_err(|error| log_failure!(error, %error, "could not count waiting tasks")).ok()?;
    let age = |at: Option<jiff::Timestamp>| {
        at.and_then(|at| Duration::try_from(at.duration_until(now)).ok()).unwrap_or_default()
    };
    Some(WaitingTasks {
        oldest_queued: age(backlog.oldest_queued),
        overdue: backlog.overdue,
        oldest_overdue: age(backlog.oldest_overdue),
        counts: backlog.counts,
    })
}
