//! The route /metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;

use super::Site;
use crate::clock::Clock;
use crate::metrics::{Format, Waiting};

/// The store is asked for what waits at most this often, and given up on after this long.
const EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

/// A count rests for so many times as long as it took: it takes 2 % of a processor at most.
const RESTS: u32 = 50;

/// When the store may be asked again for what waits. Clones share it: scrapes at the same time ask once.
#[derive(Clone, Default)]
pub struct Counted(Arc<Mutex<Option<Instant>>>);

/// Answers with all metrics as text, in the format that the client accepts.
pub async fn show(State(site): State<Site>, headers: HeaderMap) -> Response {
    refresh(&site).await;
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static(format.content_type())), (VARY, HeaderValue::from_static("Accept"))];
    (headers, site.metrics.encode(format)).into_response()
}

/// Sets the gauges that are read when somebody looks.
async fn refresh(site: &Site) {
    let metrics = &site.metrics;
    metrics.tasks.running(site.runner.running());
    let (open, idle, limit) = site.store.connections();
    metrics.store.pool(open, idle, limit);
    if let Some((open, idle, limit)) = site.datasets.connections() {
        metrics.datasets.pool(open, idle, limit);
    }
    if let Ok((free, size)) = site.files.space() {
        metrics.disk.set(free, size);
    }
    let mut next = site.counted.0.lock().await;
    let begin = Clock::monotonic();
    if next.is_none_or(|next| begin >= next) {
        let waiting = waiting(site).await;
        metrics.tasks.waiting(waiting.as_ref());
        metrics.timers.waiting(waiting.as_ref());
        *next = Some(begin + EVERY.max(begin.elapsed() * RESTS));
    }
}

/// What waits in the store; `None` if it does not say.
async fn waiting(site: &Site) -> Option<Waiting> {
    let now = site.clock.now();
    let backlog = tokio::time::timeout(PATIENCE, site.store.backlog(now)).await.ok()?;
    let backlog = backlog.inspect_err(|error| tracing::warn!(%error, "the store did not count what waits")).ok()?;
    let age = |at: Option<jiff::Timestamp>| {
        at.and_then(|at| Duration::try_from(at.duration_until(now)).ok()).unwrap_or_default()
    };
    Some(Waiting {
        oldest_queued: age(backlog.oldest_queued),
        overdue: backlog.overdue,
        oldest_overdue: age(backlog.oldest_overdue),
        counts: backlog.counts,
    })
}
