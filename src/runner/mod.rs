//! Runs tasks, and names no kind. Read [`kind`] (what a kind must do), [`context`] (what it may touch), then [`drive`]
//! (a claimed task's way to its end), [`claim`], [`short`], [`lease`], [`schedule`], [`retention`] and [`sweep`] (the loops of a node).

mod claim;
pub mod context;
mod drive;
pub mod kind;
mod lanes;
mod lease;
mod pool;
mod purge;
mod registry;
mod report;
mod retention;
mod schedule;
mod short;
mod start;
mod sweep;
pub mod transitions;
mod wakeup_timer;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use context::Context;
pub use kind::{BadInput, Failure, Kind, Plan, Retry, Stop};
pub use lanes::Limits;
pub use report::Report;
pub use start::{RefusedStarts, StartError, StartOptions};

use crate::clock::Clock;
use crate::files::Files;
use crate::metrics::Tasks;
use crate::store::{Hint, Store};
use crate::task::{PauseExpiry, ResultFile, State, Task, TaskId, Verb};
use lanes::Lanes;
use registry::Registry;
use wakeup_timer::WakeupTimer;

/// The end of a shutdown's grace, in which the outcomes of requests are recorded and their tasks released.
const RECORDING: Duration = Duration::from_secs(1);

/// Time in which a node signs off, beyond the grace if its database hangs.
const LEAVING: Duration = Duration::from_secs(1);

/// The kinds that a node can run, by name.
pub type Kinds = HashMap<&'static str, Arc<dyn Kind>>;

/// How a node runs tasks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name, unlike that of every other node that is alive.
    pub node: String,
    /// Tasks that run at once.
    pub max_running: usize,
    /// Short tasks that are at work at once, such as webhooks that are being sent.
    pub short: Limits,
    /// Tasks that may wait.
    pub max_waiting: u64,
    /// How long a silent node keeps its tasks.
    pub lease: Duration,
    /// Errors in a row, without progress between them, after which a task has failed.
    pub retry_limit: u32,
    /// The pause before the first new try; it doubles with each.
    pub retry_backoff: Duration,
    /// Deaths of its node in a row, without progress between them, after which a task has failed.
    pub crash_limit: u32,
    /// How long a pause lasts where it sets no expiry of its own, and what happens then.
    pub pause_expiry: Option<(Duration, Verb)>,
    /// How long an upload stays that no task uses; none: for ever.
    pub upload_life: Option<Duration>,
    /// How long a finished task is kept; none: for ever.
    pub retention: Option<Duration>,
    /// How long a run that was asked to stop may take to its next checkpoint before it is aborted.
    pub stop_patience: Duration,
}

/// A node's runner. Clones are the same runner.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    settings: Settings,
    store: Store,
    files: Files,
    clock: Clock,
    metrics: Tasks,
    kinds: Kinds,
    registry: Arc<Registry>,
    wakeups: Wakeups,
    slots: Arc<Semaphore>,
    lanes: Arc<Lanes>,
    runs: TaskTracker,
    loops: TaskTracker,
    heart: TaskTracker,
    ending: CancellationToken,
    gone: CancellationToken,
}

/// What wakes the loops of a node. Made before the store, so that the store's changes can ring.
#[derive(Clone, Default)]
pub struct Wakeups {
    registry: Arc<Registry>,
    work: Arc<Notify>,
    times: Arc<WakeupTimer>,
    short: Arc<WakeupTimer>,
}

impl Wakeups {
    /// The tasks that this node works on.
    pub fn runs(&self) -> Vec<TaskId> {
        self.registry.ids()
    }

    /// This node works on that task.
    pub fn runs_here(&self, id: TaskId) -> bool {
        self.registry.has(id)
    }

    /// A task changed: its run here must know.
    pub fn observe(&self, task: &Task) {
        self.registry.observe(task);
    }

    /// A task changed, here or on another node: wakes whoever waits for that.
    pub fn notify(&self, word: &Hint) {
        let alarm = |alarm: &WakeupTimer| word.due_at.into_iter().for_each(|due| alarm.set(due));
        match word.state {
            State::Scheduled | State::Queued if word.short => alarm(&self.short),
            State::Queued => self.work.notify_one(),
            State::Scheduled | State::Paused => alarm(&self.times),
            state if state.may_be_owned() && !word.owned => self.work.notify_one(),
            _ => {}
        }
    }
}

impl Runner {
    /// A runner that does nothing until [`Runner::start`].
    pub fn new(
        settings: Settings,
        store: Store,
        files: Files,
        clock: Clock,
        kinds: Kinds,
        wakeups: Wakeups,
        metrics: Tasks,
    ) -> Runner {
        let slots = Arc::new(Semaphore::new(settings.max_running));
        let lanes = Arc::new(Lanes::new(settings.short));
        Runner(Arc::new(Inner {
            settings,
            store,
            files,
            clock,
            metrics,
            kinds,
            registry: Arc::clone(&wakeups.registry),
            wakeups,
            slots,
            lanes,
            runs: TaskTracker::new(),
            loops: TaskTracker::new(),
            heart: TaskTracker::new(),
            ending: CancellationToken::new(),
            gone: CancellationToken::new(),
        }))
    }

    /// Joins the nodes, takes up what dead ones left, and starts to work.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn start(&self) -> Result<(), crate::store::Error> {
        self.take_up().await?;
        self.0.heart.spawn(lease::keep(self.clone()));
        self.0.loops.spawn(schedule::keep(self.clone()));
        self.0.loops.spawn(short::keep(self.clone()));
        self.0.loops.spawn(claim::keep(self.clone()));
        self.0.loops.spawn(purge::keep(self.clone()));
        if let Some(life) = self.0.settings.retention {
            self.0.loops.spawn(retention::keep(self.clone(), life));
        }
        if let Some(life) = self.0.settings.upload_life {
            self.0.loops.spawn(sweep::keep(self.clone(), life));
        }
        Ok(())
    }

    /// Stops claiming, lets every run come to a checkpoint or finish its request, and releases the tasks: none spends an
    /// attempt. Returns true if all of them were released by `deadline`. Returns soon after it even if the database hangs.
    pub async fn shutdown(&self, deadline: Instant) -> bool {
        let grace = deadline.saturating_duration_since(Instant::now());
        self.0.ending.cancel();
        self.0.registry.shutdown(deadline - RECORDING.min(grace / 4));
        self.0.loops.close();
        let idle = tokio::time::timeout_at(deadline, self.0.loops.wait()).await.is_ok();
        self.0.runs.close();
        // The heart beats on: what still runs is held until it lets go.
        let quiet = idle && tokio::time::timeout_at(deadline, self.0.runs.wait()).await.is_ok();
        if tokio::time::timeout(LEAVING, self.leave(quiet)).await.is_err() {
            tracing::warn!("the database does not answer; the node's lease expires instead of being given up");
        }
        quiet
    }

    /// Stops the heartbeat, and takes the node off the list if it holds no task any more.
    async fn leave(&self, quiet: bool) {
        self.0.gone.cancel();
        self.0.heart.close();
        self.0.heart.wait().await;
        if quiet && let Err(error) = self.0.store.leave(&self.0.settings.node).await {
            tracing::warn!(%error, node = self.0.settings.node, "could not remove this node from the list of nodes");
        }
    }

    /// How many tasks this node works on.
    pub fn running(&self) -> usize {
        self.0.registry.len()
    }

    /// The settings that it runs by.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The kind of that name.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.0.kinds.get(name)
    }

    /// The names of the kinds that this node can run.
    pub fn kind_names(&self) -> impl Iterator<Item = &'static str> {
        self.0.kinds.keys().copied()
    }

    /// Returns the file that clients download as the task's result. None if there is none (yet).
    pub fn result_file(&self, task: &Task) -> Option<ResultFile> {
        match self.kind(&task.kind) {
            Some(kind) => kind.result_file(task),
            None => kind::completed_file(task),
        }
    }

    /// Returns the file of input rows that the task rejected. None if there is none.
    pub fn rejects_file(&self, task: &Task) -> Option<ResultFile> {
        self.kind(&task.kind)?.rejects_file(task)
    }

    /// The expiry of a pause that sets none of its own.
    pub fn default_expiry(&self) -> Option<PauseExpiry> {
        let (after, then) = self.0.settings.pause_expiry?;
        let at = self.0.clock.now().checked_add(after).ok()?;
        Some(PauseExpiry { at, then })
    }
}
