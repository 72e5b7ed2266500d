//! Wires the parts of a node: settings -> store, bus, files, datasets, kinds, runner -> routes -> server.

mod files_identity;
mod node_events;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::backup;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::config::{BucketUrl, Config, EventTransport, PauseEnd, Role};
use crate::datasets;
use crate::files::{Files, UploadLocks};
use crate::http;
use crate::kinds::{self, KindParts};
use crate::metrics::Metrics;
use crate::redis_server::{RedisFailure, RedisServer};
use crate::request_limits::RequestLimiter;
use crate::runner::{Kind, Runner, RunnerSettings, ShortTaskLimits, Wakeups, events};
use crate::spawn::spawn;
use crate::state::AppState;
use crate::store::{self, Store};
use crate::task::Verb;
use files_identity::ForeignFiles;
use outbound::Outbound;

/// Maximum time for closing the connections of the store.
const CLOSING: Duration = Duration::from_secs(1);

/// Time after which an upload without new bytes counts as ended.
const RECEIVING: SignedDuration = SignedDuration::from_hours(1);

/// Fact that identifies a store.
const STORE_ID: &str = "store_id";

/// A server that is ready to serve. Its tasks already run.
pub struct App {
    state: AppState,
    routes: Router,
    owned: OwnedResources,
}

/// Resources owned by this process for its lifetime.
struct OwnedResources {
    lock: Option<std::fs::File>,
    _folder: Option<tempfile::TempDir>,
}

/// Reason for which a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The task store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Redis cannot be used as the settings say.
    #[error("setting redis_url: {0}")]
    Redis(#[from] RedisFailure),
    /// The datasets failed.
    #[error("datasets: {0}")]
    Datasets(#[from] datasets::Error),
    /// The client for outbound requests failed.
    #[error(transparent)]
    Outbound(#[from] outbound::SetupError),
    /// The schema of the API is invalid.
    #[error(transparent)]
    Schema(#[from] http::InvalidSchema),
    /// The files do not belong to the task store.
    #[error(transparent)]
    Files(#[from] ForeignFiles),
    /// The bucket cannot be used.
    #[error(
        "setting files_url = {bucket}: {cause}. Check that the bucket exists and that AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID \
         and AWS_SECRET_ACCESS_KEY are those of its owner"
    )]
    Bucket {
        /// The bucket, without its keys.
        bucket: BucketUrl,
        /// Cause.
        cause: std::io::Error,
    },
    /// A folder cannot be used.
    #[error("{folder}: {cause}")]
    Folder {
        /// Path of the folder.
        folder: PathBuf,
        /// Cause.
        cause: std::io::Error,
    },
    /// Another process serves this store.
    #[error("another server uses {0}. SQLite supports one node; use PostgreSQL for several nodes")]
    Taken(PathBuf),
    /// The folder was copied while a server ran, or after it crashed.
    #[error(
        "{store} was copied from the folder of a running server: its parts may be inconsistent. Back up a running \
         server with `pausa backup FOLDER`, then run `pausa restore FOLDER`. If no server was running during the copy, \
         delete {lock} and start again"
    )]
    Copied {
        /// Path of the store.
        store: PathBuf,
        /// Path of the lock file, which has the record.
        lock: PathBuf,
    },
    /// A restore was interrupted.
    #[error("{0} was not restored completely. Empty the data folder and run `pausa restore FOLDER` again")]
    Restoring(PathBuf),
}

impl App {
    /// Opens all parts that `config` names, recovers unfinished tasks, and starts working by the time of `clock`.
    /// `kinds` are the additional kinds of an embedding program.
    ///
    /// # Errors
    /// A part that cannot be opened, or a SQLite store that another process serves.
    pub async fn start(mut config: Config, kinds: Vec<Arc<dyn Kind>>, clock: Clock) -> Result<App, StartError> {
        let folder = ephemeral(&mut config)?;
        let lock = lock(&config)?;
        let (bus, wakeups, metrics) = (Bus::default(), Wakeups::default(), Metrics::default());
        let redis = config.redis_url.as_ref().map(RedisServer::open).transpose()?.map(Arc::new);
        let settings = settings(&config, &clock);
        let on_change = events::on_change(&settings.node, &bus, &wakeups, &metrics);
        let store = Store::open(&config.store(), config.events == EventTransport::Postgres, on_change)
            .await?
            .measured(metrics.store.clone())
            .reporting_uncertain(events::on_uncertain(&bus, &clock));
        let datasets = datasets::open(&config.datasets(), store.gate()).await?;
        let datasets = datasets::measured(datasets, metrics.datasets.clone());
        let store_id = store.record_fact(STORE_ID, &clock.uuid().to_string()).await?;
        datasets.assign(&store_id).await?;
        let outbound = Outbound::new(outbound_settings(&config))?;
        let root = config.files();
        // If nodes share the folder, another one may be receiving an upload.
        let abandoned = if store.is_single_process() { clock.now() } else { clock.now() - RECEIVING };
        let files = Files::open(&root, config.files_bucket.as_ref(), abandoned);
        let files = files.await.map_err(|cause| unusable_files(&config, root, cause))?;
        files_identity::check(&store, files.blobs.as_ref(), &clock).await?;
        if let (Some(lock), Some(file)) = (&lock, Store::file(&config.store_url())) {
            backup::store_identity::note(lock, &file).map_err(|cause| StartError::Folder { folder: file, cause })?;
        }
        let kinds = kinds::builtin(
            &KindParts { config: &config, datasets: &datasets, outbound: &outbound, metrics: &metrics },
            kinds,
        );
        let tasks = metrics.tasks.clone();
        let runner = Runner::new(settings, store.clone(), files.clone(), clock.clone(), kinds, wakeups.clone(), tasks);
        if let Some(others) =
            node_events::connect(&config, redis.as_ref(), &store, &store_id, &bus, &clock, &metrics).await
        {
            let (store, wakeups) = (store.clone(), wakeups.clone());
            spawn(events::follow(bus.clone(), others, store, wakeups, metrics.clone(), clock.clone()));
        }
        let request_limiter = request_limiter(&config, redis.as_ref(), &store, &store_id);
        runner.start().await?;
        let state = AppState {
            started_at: clock.now(),
            request_limiter,
            upload_locks: UploadLocks::default(),
            csv_streams: Arc::new(Semaphore::new(config.http.max_streams)),
            next_backlog_count: Arc::default(),
            draining: CancellationToken::new(),
            ending: CancellationToken::new(),
            connections: TaskTracker::new(),
            config: Arc::new(config),
            clock,
            metrics,
            store,
            files,
            datasets,
            bus,
            runner,
        };
        Ok(App { routes: routes(&state)?, state, owned: OwnedResources { lock, _folder: folder } })
    }

    /// Serves `listener` until `shutdown`, and for `shutdown.drain` after it. Meanwhile checkpoints and releases every running
    /// task. Returns true if all of them were released within `shutdown.grace`.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> std::io::Result<bool> {
        let AppState { config, runner, store, draining, ending, connections, .. } = self.state;
        let stop = CancellationToken::new();
        let signals = http::ServeSignals { draining: draining.clone(), stop: stop.clone() };
        let mut server = spawn(http::serve(listener, self.routes, Arc::clone(&config), signals));
        tokio::select! {
            ended = &mut server => return ended.map(|()| false).map_err(std::io::Error::other),
            () = shutdown => {}
        }
        draining.cancel();
        let begin = tokio::time::Instant::now();
        let drain = async {
            tokio::time::sleep(config.drain()).await;
            ending.cancel();
        };
        let ((), quiet) = tokio::join!(drain, runner.shutdown(begin + config.shutdown_grace));
        connections.close();
        stop.cancel();
        let deadline = begin + config.drain() + config.shutdown_grace;
        // Connections that are still open after the grace period are closed when the process ends.
        let _ = tokio::time::timeout_at(deadline, async { tokio::join!(connections.wait(), server) }).await;
        let closed = tokio::time::timeout(CLOSING, store.close()).await.is_ok();
        if let Some(lock) = self.owned.lock.filter(|_| quiet && closed) {
            backup::store_identity::clear(&lock)?;
        }
        Ok(quiet)
    }
}

/// Returns the limit of each caller's requests. Worker nodes have no callers.
fn request_limiter(
    config: &Config,
    redis: Option<&Arc<RedisServer>>,
    store: &Store,
    store_id: &str,
) -> Option<RequestLimiter> {
    let rate = config.http.request_rate.filter(|_| config.role != Role::Worker)?;
    // Without other nodes, this node counts alone.
    let shared = redis.filter(|_| !store.is_single_process()).map(|redis| (Arc::clone(redis), store_id));
    Some(RequestLimiter::start(rate, shared))
}

fn routes(state: &AppState) -> Result<Router, http::InvalidSchema> {
    match state.config.role {
        Role::Worker => Ok(http::worker_routes(state.clone())),
        Role::All | Role::Api => http::routes(state.clone(), Api::new(state.clone())),
    }
}

fn settings(config: &Config, clock: &Clock) -> RunnerSettings {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let then = match config.pause_expiry {
        PauseEnd::Resume => Verb::Resume,
        PauseEnd::Terminate => Verb::Terminate,
    };
    RunnerSettings {
        node: config.node.clone().unwrap_or_else(|| node_name(clock)),
        role: config.role,
        max_running: config.max_running.unwrap_or(2 * cores),
        short_tasks: ShortTaskLimits { total: config.max_sending.0, per_key: config.max_sending.1 },
        max_waiting: config.max_waiting,
        lease: config.lease,
        retry_limit: config.retry_limit,
        retry_backoff: config.retry_backoff,
        crash_limit: config.crash_limit,
        pause_expiry: config.max_pause.map(|after| (after, then)),
        upload_life: config.upload_life,
        retention: config.retention,
        stop_patience: Duration::from_secs(2),
    }
}

/// Returns a name for a node without a configured one: the host name and a random suffix.
pub fn node_name(clock: &Clock) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let id = clock.uuid().simple().to_string();
    format!("{host}-{}", &id[id.len() - 8..])
}

fn unusable_files(config: &Config, folder: PathBuf, cause: std::io::Error) -> StartError {
    match config.files_bucket.clone() {
        Some(bucket) => StartError::Bucket { bucket, cause },
        None => StartError::Folder { folder, cause },
    }
}

fn ephemeral(config: &mut Config) -> Result<Option<tempfile::TempDir>, StartError> {
    if !config.ephemeral {
        return Ok(None);
    }
    let folder = tempfile::Builder::new().prefix("pausa-").tempdir();
    let folder = folder.map_err(|cause| StartError::Folder { folder: std::env::temp_dir(), cause })?;
    config.data_dir = folder.path().to_owned();
    Ok(Some(folder))
}

fn outbound_settings(config: &Config) -> outbound::Settings {
    outbound::Settings {
        allow_private: config.outbound_allow_private,
        private_hint: "Set PAUSA_OUTBOUND_ALLOW_PRIVATE=true to allow private addresses.",
        read_timeout: config.fetch_silence,
        user_agent: concat!("pausa/", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// Creates the data folder, and takes the lock beside a SQLite store.
///
/// # Errors
/// A folder that cannot be used, or a store that another process uses, that was copied, or that was not completely restored.
pub fn lock(config: &Config) -> Result<Option<std::fs::File>, StartError> {
    let unusable = |folder: PathBuf| move |cause| StartError::Folder { folder, cause };
    std::fs::create_dir_all(&config.data_dir).map_err(unusable(config.data_dir.clone()))?;
    let url = config.store_url();
    let Some(store) = Store::file(&url) else { return Ok(None) };
    let path = store.with_extension("lock");
    let opened = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(unusable(path.clone()))?;
    if file.try_lock().is_err() {
        return Err(StartError::Taken(store));
    }
    if backup::is_unfinished(&store) {
        return Err(StartError::Restoring(store));
    }
    match backup::store_identity::is_copied(&file, &store).map_err(unusable(path.clone()))? {
        false => Ok(Some(file)),
        true => Err(StartError::Copied { store, lock: path }),
    }
}
