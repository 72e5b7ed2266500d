//! The wiring: settings -> store, bus, files, datasets, kinds, runner -> routes -> a server.

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
use crate::bus::{self, Bus};
use crate::clock::Clock;
use crate::config::{Config, PauseEnd, Role};
use crate::datasets;
use crate::files::{Files, UploadLocks};
use crate::http;
use crate::kinds::{self, KindParts};
use crate::metrics::Metrics;
use crate::runner::{Kind, Runner, RunnerSettings, ShortTaskLimits, Wakeups, events};
use crate::state::AppState;
use crate::store::{self, Store};
use crate::task::Verb;
use outbound::Outbound;

/// How long the store's connections may take to close.
const CLOSING: Duration = Duration::from_secs(1);

/// An upload that nobody wrote to for so long has ended.
const RECEIVING: SignedDuration = SignedDuration::from_hours(1);

/// A server that is ready to serve. Its tasks run already.
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

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The task store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The connection for the events of other nodes failed.
    #[error(transparent)]
    Events(#[from] bus::postgres::ListenError),
    /// The datasets.
    #[error("the datasets: {0}")]
    Datasets(#[from] datasets::Error),
    /// What asks other servers.
    #[error(transparent)]
    Outbound(#[from] outbound::SetupError),
    /// A folder.
    #[error("{folder}: {cause}")]
    Folder {
        /// Its path.
        folder: PathBuf,
        /// What is wrong with it.
        cause: std::io::Error,
    },
    /// Another process serves this store.
    #[error("another pausa serves {0} already: SQLite takes one node; several nodes share a PostgreSQL store")]
    Taken(PathBuf),
    /// The folder was copied while a server ran, or after it crashed.
    #[error(
        "{store} was copied from a folder on which a server was running: its parts may not fit together. Copy a running \
         server with `pausa backup FOLDER`, and `pausa restore FOLDER` the copy. If no server was running during the copy, \
         delete {lock} and start again"
    )]
    Copied {
        /// The store.
        store: PathBuf,
        /// The lock file, which has the note.
        lock: PathBuf,
    },
    /// A restore was cut off.
    #[error("{0} was not restored completely: empty the data folder and run `pausa restore FOLDER` again")]
    Restoring(PathBuf),
}

impl App {
    /// Opens everything that `config` names, takes up unfinished tasks, and starts to work by the time of `clock`. `kinds` are
    /// those of the embedding program.
    ///
    /// # Errors
    /// What cannot be opened, or a SQLite store that another process serves.
    pub async fn start(mut config: Config, kinds: Vec<Arc<dyn Kind>>, clock: Clock) -> Result<App, StartError> {
        let folder = ephemeral(&mut config)?;
        let lock = lock(&config)?;
        let (bus, wakeups, metrics) = (Bus::default(), Wakeups::default(), Metrics::default());
        let settings = settings(&config, &clock);
        let on_change = events::on_change(&settings.node, &bus, &wakeups, &metrics);
        let store = Store::connect(&config.store_url(), on_change).await?.measured(metrics.store.clone());
        let datasets = datasets::measured(datasets::connect(&config.datasets()).await?, metrics.datasets.clone());
        let outbound = Outbound::new(outbound_settings(&config))?;
        let root = config.files();
        // Where nodes share the folder, another one may be receiving.
        let abandoned = if store.is_exclusive() { clock.now() } else { clock.now() - RECEIVING };
        let files = Files::open(&root, abandoned).await.map_err(|cause| StartError::Folder { folder: root, cause })?;
        if let (Some(lock), Some(file)) = (&lock, Store::file(&config.store_url())) {
            backup::store_identity::note(lock, &file).map_err(|cause| StartError::Folder { folder: file, cause })?;
        }
        let kinds = kinds::builtin(
            &KindParts { config: &config, datasets: &datasets, outbound: &outbound, timers: &metrics.timers },
            kinds,
        );
        let tasks = metrics.tasks.clone();
        let runner = Runner::new(settings, store.clone(), files.clone(), clock.clone(), kinds, wakeups.clone(), tasks);
        if let Some(source) = store.event_source() {
            let others = bus::postgres::listen(&config.store_url(), source).await?;
            tokio::spawn(events::follow(bus.clone(), others, store.clone(), wakeups.clone(), metrics.clone()));
        }
        if config.role != Role::Api {
            runner.start().await?;
        }
        let state = AppState {
            started_at: clock.now(),
            upload_locks: UploadLocks::default(),
            csv_streams: Arc::new(Semaphore::new(config.http.max_streams)),
            next_backlog_count: Arc::default(),
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
        Ok(App { routes: routes(&state), state, owned: OwnedResources { lock, _folder: folder } })
    }

    /// Serves `listener` until `shutdown`, then lets every task come to a checkpoint and gives it back. True where all of
    /// them let go within `shutdown.grace`.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> std::io::Result<bool> {
        let AppState { config, runner, store, ending, connections, .. } = self.state;
        let stop = CancellationToken::new();
        let mut server = tokio::spawn(http::serve(listener, self.routes, config.http.clone(), stop.clone()));
        tokio::select! {
            ended = &mut server => return ended.map(|()| false).map_err(std::io::Error::other),
            () = shutdown => {}
        }
        ending.cancel();
        let deadline = tokio::time::Instant::now() + config.shutdown_grace;
        let quiet = runner.shutdown(deadline).await;
        connections.close();
        stop.cancel();
        // What is still open when the grace is over is cut off with the process.
        let _ = tokio::time::timeout_at(deadline, async { tokio::join!(connections.wait(), server) }).await;
        let closed = tokio::time::timeout(CLOSING, store.close()).await.is_ok();
        if let Some(lock) = self.owned.lock.filter(|_| quiet && closed) {
            backup::store_identity::clear(&lock)?;
        }
        Ok(quiet)
    }
}

fn routes(state: &AppState) -> Router {
    match state.config.role {
        Role::Worker => http::worker_routes(state.clone()),
        Role::All | Role::Api => http::routes(state.clone(), &Api::new(state.clone())),
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

/// A name for a node that the settings give none: the host's name and a random tail.
pub fn node_name(clock: &Clock) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let id = clock.uuid().simple().to_string();
    format!("{host}-{}", &id[id.len() - 8..])
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

/// Takes the lock beside a SQLite store, and makes the data folder.
fn lock(config: &Config) -> Result<Option<std::fs::File>, StartError> {
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
