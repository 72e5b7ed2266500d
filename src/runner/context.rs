//! Services that a kind may use while one of its tasks runs.

mod checkpoint;
mod stop;
mod threads;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::kind::Failure;
use super::node_lease::RunLease;
use super::pool::ComputePool;
use super::registry::{RunSignal, RunSignals};
use super::report::{CheckpointWrite, LatestCheckpoint};
use crate::clock::Clock;
use crate::files::{Files, TaskScratch};
use crate::metrics::Work;
use crate::store::{FenceToken, Store};
use crate::task::{Code, Task, TaskId};

/// Run of a task, as its kind sees it. Clones share the same run.
#[derive(Clone)]
pub struct Context(Arc<ContextInner>);

struct ContextInner {
    task: Arc<Task>,
    lease: RunLease,
    store: Store,
    files: Files,
    clock: Clock,
    pool: ComputePool,
    signal: watch::Receiver<RunSignal>,
    rate: watch::Receiver<Option<f64>>,
    started: Instant,
    latest: Mutex<LatestCheckpoint>,
    writing: tokio::sync::Mutex<CheckpointWrite>,
    threads: TaskTracker,
    work: Work,
}

impl Context {
    pub(super) fn new(
        task: Arc<Task>,
        lease: RunLease,
        store: Store,
        files: Files,
        clock: Clock,
        signals: RunSignals,
        work: Work,
    ) -> Context {
        let (started, threads, pool) = (Clock::monotonic(), TaskTracker::new(), ComputePool::default());
        let latest = Mutex::new(LatestCheckpoint::new(started, task.progress.done));
        let writing = tokio::sync::Mutex::default();
        Context(Arc::new(ContextInner {
            task,
            lease,
            store,
            files,
            clock,
            pool,
            signal: signals.signal,
            rate: signals.rate,
            started,
            latest,
            writing,
            threads,
            work,
        }))
    }

    /// Returns the ID of the task.
    pub fn id(&self) -> TaskId {
        self.0.task.id
    }

    /// Returns the epoch of the claim: higher than that of any earlier claim.
    pub fn epoch(&self) -> i64 {
        self.0.task.epoch
    }

    /// Returns the name of the node that runs the task.
    pub fn node(&self) -> &str {
        self.0.lease.node_name()
    }

    /// Returns the number of errors in a row.
    pub fn failures(&self) -> u32 {
        self.0.task.failures
    }

    /// Returns when this attempt of a short task became due: its start, its resume if that came later, or its retry.
    pub fn due_since(&self) -> Option<Timestamp> {
        self.0.task.due_since.or(self.0.task.due_at)
    }

    /// Returns the spec: what the task is to do.
    ///
    /// # Errors
    /// A permanent failure if the stored text does not fit `S`.
    pub fn spec<S: DeserializeOwned>(&self) -> Result<S, Failure> {
        serde_json::from_str(&self.0.task.spec)
            .map_err(|error| Failure::permanent(Code::Internal, format!("The stored spec is invalid: {error}.")))
    }

    /// Returns the cursor of the last checkpoint before this run. None before the first checkpoint.
    ///
    /// # Errors
    /// A permanent failure if the stored text does not fit `C`.
    pub fn cursor<C: DeserializeOwned>(&self) -> Result<Option<C>, Failure> {
        parse_cursor(self.0.task.cursor.as_deref())
    }

    /// Returns the files: uploads, work in progress and results.
    pub fn files(&self) -> &Files {
        &self.0.files
    }

    /// Returns the task's working files on this machine.
    pub fn scratch(&self) -> TaskScratch {
        self.0.files.scratch.of(self.id())
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Returns the limit of rows per second that replaces the one of the spec, as it is now and when a client changes it: 0 for no limit,
    /// None while the spec's own holds.
    pub fn rate_limit(&self) -> watch::Receiver<Option<f64>> {
        self.0.rate.clone()
    }

    /// Counts the progress that the store has now.
    pub(super) fn count_progress(&self, task: &Task) {
        self.0.work.committed(task.progress.done);
    }

    pub(super) fn fence_token(&self) -> FenceToken {
        FenceToken { id: self.id(), epoch: self.epoch() }
    }
}

fn parse_cursor<C: DeserializeOwned>(text: Option<&str>) -> Result<Option<C>, Failure> {
    let cursor = text.map(serde_json::from_str).transpose();
    cursor.map_err(|error| Failure::permanent(Code::Internal, format!("The stored cursor is invalid: {error}.")))
}
