//! Runs tasks. Names no kind.
//!
//! - [`kind`]: what a kind implements; [`context`]: what its run may use; [`report`]: its progress
//! - [`drive`]: the way of a claimed task: [`run_kind`] -> [`record_end`] -> [`kind_calls`]
//! - loops of a node: [`claim`] (with [`claim_wakeup`] and [`adoption`]), [`short`] (with [`reservations`]), [`lease`] (with [`node_lease`] and [`warnings`]), [`schedule`], [`retention`], [`uploads`], [`purge`]
//! - [`full_disk`]: other nodes run tasks while the disk is full; [`sweep`]: deletes files that no task needs
//! - [`registry`]: signals to the runs of this node; [`events`]: what changes of tasks trigger; [`transitions`]: their log lines

mod adoption;
mod claim;
mod claim_wakeup;
pub mod context;
mod deletion;
mod drive;
pub mod events;
mod full_disk;
pub mod kind;
mod kind_calls;
mod lease;
mod node_lease;
mod notifier;
mod pool;
mod purge;
mod record_end;
mod registry;
mod report;
mod reservations;
mod retention;
mod run_kind;
mod schedule;
mod short;
mod start;
mod start_options;
mod sweep;
pub mod transitions;
mod uploads;
mod wakeup_timer;
mod warnings;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, RwLock, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::task::Retry;
pub use context::Context;
pub use kind::{BadInput, Failure, Kind, StopReason, TaskPlan, Termination};
pub use notifier::Notifier;
pub use report::Report;
pub use reservations::ShortTaskLimits;
pub use start::{RefusedStarts, TaskStartError};
pub use start_options::{StartOptions, check_label, check_priority, check_tags};

use crate::bus::ChangeEvent;
use crate::clock::Clock;
use crate::config::Role;
use crate::database::log_failure;
use crate::files::Files;
use crate::metrics::Tasks;
use crate::spawn::spawn_tracked;
use crate::store::{Claimant, NodeProfile, Store};
use crate::task::{NodeIdentity, PauseExpiry, ResultFile, State, Task, Verb};
use claim_wakeup::ClaimWakeup;
use full_disk::FullDisk;
use node_lease::NodeLease;
use registry::Registry;
use reservations::Reservations;
use wakeup_timer::WakeupTimer;
use warnings::NodeWarnings;

/// Last part of a shutdown's grace, in which ends of runs are recorded and tasks released.
const RECORDING_TIME: Duration = Duration::from_secs(1);

/// Maximum time in which a node leaves the list of nodes, beyond the grace if its database hangs.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Kinds that a node can run, by name.
pub type Kinds = HashMap<&'static str, Arc<dyn Kind>>;

/// Settings of a runner.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// Name of the node, for logs and histories.
    pub node: String,
    /// Role of the node. One with the role `api` runs no tasks.
    pub role: Role,
    /// Maximum number of long tasks that run at once.
    pub max_running: usize,
    /// Maximum number of active short tasks, such as webhooks that are being sent.
    pub short_tasks: ShortTaskLimits,
    /// Maximum number of waiting tasks.
    pub max_waiting: u64,
    /// Lease duration. A node that does not renew its lease in this time loses its tasks.
    pub lease: Duration,
    /// Maximum number of errors in a row, without progress between them. Then the task is FAILED.
    pub retry_limit: u32,
    /// Delay before the first retry. Doubles with each retry.
    pub retry_backoff: Duration,
    /// Maximum number of crashes of its node in a row, without progress between them. Then the task is FAILED.
    pub crash_limit: u32,
    /// Default expiry of a pause: its duration, and the verb that follows. None: never.
    pub pause_expiry: Option<(Duration, Verb)>,
    /// Age at which an unused upload is deleted. None: never.
    pub upload_life: Option<Duration>,
    /// Age at which a finished task is deleted. None: never.
    pub retention: Option<Duration>,
    /// Maximum time from a request to stop to the next checkpoint. Then the run is aborted.
    pub stop_patience: Duration,
}

/// Runner of a node. Clones share the same runner.
#[derive(Clone)]
pub struct Runner(Arc<RunnerInner>);

struct RunnerInner {
    settings: RunnerSettings,
    store: Store,
    files: Files,
    clock: Clock,
    metrics: Tasks,
    kinds: Kinds,
    /// Delivers notices of final states.
    notifier: Option<Arc<dyn Notifier>>,
    claimant: Claimant,
    /// Claims tasks that need no disk.
    diskless_claimant: Claimant,
    profile: OnceLock<NodeProfile>,
    lease: Arc<NodeLease>,
    warnings: NodeWarnings,
    registry: Arc<Registry>,
    wakeups: Wakeups,
    slots: Arc<Semaphore>,
    /// Locked for reading from a claim until its runs are registered.
    claims: RwLock<()>,
    /// Notified of claims whose answers were lost.
    unanswered_claims: Notify,
    full_disk: FullDisk,
    reservations: Arc<Reservations>,
    /// Permits of purges.
    purging: Arc<Semaphore>,
    runs: TaskTracker,
    loops: TaskTracker,
    lease_loop: TaskTracker,
    /// The node shuts down.
    ending: CancellationToken,
    /// The node stops renewing its lease.
    left: CancellationToken,
}

/// Wakes the loops of a node. Made before the store, so that the store's changes can notify.
#[derive(Clone, Default)]
pub struct Wakeups {
    registry: Arc<Registry>,
    work: Arc<ClaimWakeup>,
    times: Arc<WakeupTimer>,
    short: Arc<WakeupTimer>,
}

impl Wakeups {
    /// Notifies the task's run on this node that the task changed.
    pub fn observe(&self, task: &Task) {
        self.registry.observe(task);
    }

    /// Wakes all loops, as changes of other nodes may have been missed. Each reads the store.
    pub fn notify_all(&self) {
        self.work.notify_all();
        self.times.set(Timestamp::MIN);
        self.short.set(Timestamp::MIN);
    }

    /// Wakes the loop that handles this change of a task, made here or on another node.
    pub fn notify(&self, event: &ChangeEvent) {
        let set = |timer: &WakeupTimer| event.due_at.into_iter().for_each(|due| timer.set(due));
        match event.state {
            State::Scheduled | State::Queued if event.short => set(&self.short),
            State::Queued => self.work.notify_queued(),
            State::Scheduled | State::Paused => set(&self.times),
            state if state.may_be_owned() && !event.owned => self.work.notify_end(),
            _ => {}
        }
    }
}

impl Runner {
    /// Makes a runner that does nothing until [`Runner::start`].
    pub fn new(
        settings: RunnerSettings,
        store: Store,
        files: Files,
        clock: Clock,
        kinds: Kinds,
        wakeups: Wakeups,
        metrics: Tasks,
    ) -> Runner {
        let slots = Arc::new(Semaphore::new(settings.max_running));
        let reservations = Arc::new(Reservations::new(settings.short_tasks));
        let node = NodeIdentity { id: clock.uuid().to_string(), name: settings.node.clone() };
        let diskless = kinds.values().filter(|kind| !kind.writes_files());
        let notifier = kinds.values().find_map(|kind| kind.notifier());
        notifier.iter().for_each(|notifier| notifier::notify(&store, &kinds, &clock, Arc::clone(notifier)));
        let lease = NodeLease::new(node.clone(), (!store.is_single_process()).then_some(settings.lease));
        Runner(Arc::new(RunnerInner {
            diskless_claimant: Claimant::new(node.clone(), diskless.map(|kind| kind.name())),
            claimant: Claimant::new(node, kinds.keys().copied()),
            profile: OnceLock::new(),
            lease: Arc::new(lease),
            warnings: NodeWarnings::default(),
            settings,
            store,
            files,
            clock,
            metrics,
            kinds,
            notifier,
            registry: Arc::clone(&wakeups.registry),
            wakeups,
            slots,
            claims: RwLock::default(),
            unanswered_claims: Notify::new(),
            full_disk: FullDisk::default(),
            reservations,
            purging: Arc::new(Semaphore::new(purge::AT_ONCE)),
            runs: TaskTracker::new(),
            loops: TaskTracker::new(),
            lease_loop: TaskTracker::new(),
            ending: CancellationToken::new(),
            left: CancellationToken::new(),
        }))
    }

    /// Joins the nodes, and starts the loops: on a node that runs no tasks only that of the lease.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn start(&self) -> Result<(), crate::store::Error> {
        self.join_nodes().await?;
        spawn_tracked(&self.0.lease_loop, lease::run_lease_loop(self.clone()));
        if self.0.settings.role == Role::Api {
            return Ok(());
        }
        spawn_tracked(&self.0.loops, schedule::run_schedule_loop(self.clone()));
        spawn_tracked(&self.0.loops, short::run_short_task_loop(self.clone()));
        spawn_tracked(&self.0.loops, claim::run_claim_loop(self.clone()));
        spawn_tracked(&self.0.loops, adoption::run_adoption_loop(self.clone()));
        spawn_tracked(&self.0.loops, purge::run_purge_loop(self.clone()));
        spawn_tracked(&self.0.loops, sweep::run_sweep_loop(self.clone()));
        if let Some(age) = self.0.settings.retention {
            spawn_tracked(&self.0.loops, retention::run_retention_loop(self.clone(), age));
        }
        if let Some(age) = self.0.settings.upload_life {
            spawn_tracked(&self.0.loops, uploads::run_upload_loop(self.clone(), age));
        }
        Ok(())
    }

    /// Stops claiming, waits until each run reaches a checkpoint or finishes its request, and releases the tasks without
    /// counting an attempt. Returns true if all runs ended by `deadline`; the tasks of others are released then. Returns soon after it even
    /// if the database hangs.
    pub async fn shutdown(&self, deadline: Instant) -> bool {
        let grace = deadline.saturating_duration_since(Instant::now());
        self.0.ending.cancel();
        self.0.registry.shutdown(deadline - RECORDING_TIME.min(grace / 4));
        self.0.loops.close();
        let claimed = tokio::time::timeout_at(deadline, self.0.loops.wait()).await.is_ok();
        self.0.runs.close();
        // The lease is renewed meanwhile: the node owns what still runs.
        let ended = claimed && tokio::time::timeout_at(deadline, self.0.runs.wait()).await.is_ok();
        if tokio::time::timeout(LEAVE_TIMEOUT, self.leave(ended)).await.is_err() {
            tracing::warn!("database does not answer; the lease of this node expires instead of being released");
        }
        ended
    }

    /// Stops renewing the lease, and removes the node from the list of nodes if it owns no task. If runs have not ended, their tasks are
    /// released first.
    async fn leave(&self, ended: bool) {
        self.0.left.cancel();
        self.0.lease_loop.close();
        self.0.lease_loop.wait().await;
        let leaving = async {
            if !ended {
                self.hand_over().await?;
            }
            self.0.store.leave(&self.0.claimant.node.id).await
        };
        if let Err(error) = leaving.await {
            log_failure!(error, %error, node = self.0.settings.node, "could not remove this node from the list of nodes");
        }
    }

    /// Releases the tasks of runs that have not ended within the grace. From here on these runs neither write nor act.
    async fn hand_over(&self) -> Result<(), crate::store::Error> {
        self.0.lease.lose();
        let released = self.0.store.hand_over(&self.0.claimant.node.id, self.end_request()).await?;
        if !released.is_empty() {
            let (node, tasks) = (&self.0.settings.node, released.len());
            tracing::warn!(node, tasks, "runs did not end within the grace of the shutdown; their tasks are released");
        }
        Ok(())
    }

    /// Returns the number of tasks that run on this node.
    pub fn running(&self) -> usize {
        self.0.registry.len()
    }

    /// Returns true if no other node can have this node's tasks: its lease was renewed in time.
    pub fn lease_is_held(&self) -> bool {
        self.0.lease.is_held()
    }

    /// Returns what an operator should know about this node, although it works.
    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings.texts()
    }

    /// Returns the settings.
    pub fn settings(&self) -> &RunnerSettings {
        &self.0.settings
    }

    /// Returns the kind of that name.
    pub fn kind(&self, name: &str) -> Option<&Arc<dyn Kind>> {
        self.0.kinds.get(name)
    }

    /// Returns the names of the kinds that this node can run.
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

    /// Returns the expiry of a pause without its own.
    pub fn default_expiry(&self) -> Option<PauseExpiry> {
        let (after, then) = self.0.settings.pause_expiry?;
        let at = self.0.clock.now().checked_add(after).ok()?;
        Some(PauseExpiry { at, then })
    }
}
