//! The state of the application. `app` builds it once; HTTP routes and resolvers take what they need from it.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::Bus;
use crate::clock::Clock;
use crate::config::Config;
use crate::datasets::Datasets;
use crate::files::{Files, UploadLocks};
use crate::metrics::Metrics;
use crate::request_limits::RequestLimiter;
use crate::runner::Runner;
use crate::store::Store;

/// The parts of a node that answer requests. Clones share them.
#[derive(Clone)]
pub struct AppState {
    /// The settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// The metrics of this node.
    pub metrics: Metrics,
    /// The task store.
    pub store: Store,
    /// Uploads and results.
    pub files: Files,
    /// The database of datasets.
    pub datasets: Arc<dyn Datasets>,
    /// The event bus.
    pub bus: Bus,
    /// The runner of tasks.
    pub runner: Runner,
    /// Limit of each caller's requests. None: unlimited.
    pub request_limiter: Option<RequestLimiter>,
    /// Time at which the node started.
    pub started_at: Timestamp,
    /// The requests that write to uploads.
    pub upload_locks: UploadLocks,
    /// Permits of CSV streams. None is left at `http.max_streams` streams.
    pub csv_streams: Arc<Semaphore>,
    /// Earliest time at which /metrics may count waiting tasks again. Concurrent scrapes count once.
    pub next_backlog_count: Arc<Mutex<Option<Instant>>>,
    /// Cancelled when the shutdown begins. Requests are still served for `shutdown.drain`.
    pub draining: CancellationToken,
    /// Cancelled when subscriptions and streams must end.
    pub ending: CancellationToken,
    /// Open WebSockets and CSV streams. The shutdown waits for them.
    pub connections: TaskTracker,
}
