//! What a kind may touch while one of its tasks runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};
use tokio_util::task::TaskTracker;

use super::kind::{Failure, Stop};
use super::pool::Pool;
use super::registry::Signal;
use super::report::{Latest, Report, Writing};
use crate::clock::Clock;
use crate::files::Files;
use crate::metrics::Work;
use crate::store::{self, Durability, FenceToken, Last, Store};
use crate::task::{Code, Progress, State, Task, TaskId};

/// The wait between two tries while the store is away.
const AWAY: Duration = Duration::from_millis(250);

/// Time in which a run ends whose request was given up, before it is aborted.
const ENDING: Duration = Duration::from_millis(250);

/// A task's run, as its kind sees it. Clones are the same run.
#[derive(Clone)]
pub struct Context(Arc<Run>);

struct Run {
    task: Arc<Task>,
    store: Store,
    files: Files,
    clock: Clock,
    pool: Pool,
    signal: watch::Receiver<Signal>,
    started: Instant,
    latest: Mutex<Latest>,
    writing: tokio::sync::Mutex<Writing>,
    threads: TaskTracker,
    work: Work,
}

impl Context {
    pub(super) fn new(
        task: Arc<Task>,
        store: Store,
        files: Files,
        clock: Clock,
        signal: watch::Receiver<Signal>,
        work: Work,
    ) -> Context {
        let (started, threads, pool) = (Clock::monotonic(), TaskTracker::new(), Pool::default());
        let (latest, writing) = (Mutex::new(Latest::new(started)), tokio::sync::Mutex::default());
        Context(Arc::new(Run { task, store, files, clock, pool, signal, started, latest, writing, threads, work }))
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.0.task.id
    }

    /// The claim under which it runs: higher than any before it.
    pub fn epoch(&self) -> i64 {
        self.0.task.epoch
    }

    /// The node that runs it.
    pub fn node(&self) -> &str {
        self.0.task.owner.as_deref().unwrap_or_default()
    }

    /// Errors in a row.
    pub fn failures(&self) -> u32 {
        self.0.task.failures
    }

    /// When this attempt of a short task became due: its start, its resume if that came later, or the moment of its retry.
    pub fn due_since(&self) -> Option<Timestamp> {
        self.0.task.due_since.or(self.0.task.due_at)
    }

    /// What it is to do.
    ///
    /// # Errors
    /// A permanent failure where the stored text does not fit `S`.
    pub fn spec<S: DeserializeOwned>(&self) -> Result<S, Failure> {
        serde_json::from_str(&self.0.task.spec)
            .map_err(|error| Failure::permanent(Code::Internal, format!("its stored spec cannot be read: {error}")))
    }

    /// Where the last checkpoint of any run left off; none before the first.
    ///
    /// # Errors
    /// A permanent failure where the stored text does not fit `C`.
    pub fn cursor<C: DeserializeOwned>(&self) -> Result<Option<C>, Failure> {
        let cursor = self.0.task.cursor.as_deref().map(serde_json::from_str).transpose();
        cursor.map_err(|error| Failure::permanent(Code::Internal, format!("its stored cursor cannot be read: {error}")))
    }

    /// The folder of files that clients sent, work in progress and results.
    pub fn files(&self) -> &Files {
        &self.0.files
    }

    /// The task's own folder for work in progress.
    pub async fn work(&self) -> Result<PathBuf, Failure> {
        let (files, id) = (self.files().clone(), self.id());
        let folder = self.uninterrupted(async move { files.work(id).await }).await?;
        folder.map_err(|error| Failure::io("the task's folder", &error))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Says what is committed: the run goes on from here after a stop or a crash. Written to the task store beside the run,
    /// ten times a second and each time that a 32nd of the whole was done; a run that is that far ahead of the store waits
    /// for it. A power loss may take back the last ten seconds of that.
    ///
    /// # Errors
    /// [`Stop::Interrupted`] where a pause, a termination or a shutdown was asked for, [`Stop::LeaseLost`] where a newer
    /// claim holds the task: return it at once.
    pub async fn checkpoint<C: Serialize + Sync>(&self, cursor: &C, report: Report) -> Result<(), Stop> {
        self.note(cursor, report)?;
        self.check_stop()?;
        let mut writing = self.0.writing.lock().await;
        if writing.has_ended() {
            writing.end().await?;
        }
        let Some(durable) = self.latest().due(Clock::monotonic()) else { return Ok(()) };
        writing.end().await?;
        let (said, context, held) = (self.begin_write(durable), self.clone(), self.0.threads.token());
        writing.begin(async move {
            let _held = held;
            context.write(said, durable).await
        });
        Ok(())
    }

    /// The same, on disk before it returns: what the cursor before this one needed may then go.
    ///
    /// # Errors
    /// As [`Context::checkpoint`].
    pub async fn commit<C: Serialize + Sync>(&self, cursor: &C, report: Report) -> Result<(), Stop> {
        self.note(cursor, report)?;
        self.check_stop()?;
        let mut writing = self.0.writing.lock().await;
        writing.end().await?;
        self.write(self.begin_write(Durability::Immediate), Durability::Immediate).await?;
        self.check_stop()
    }

    /// Says it without a write or a look at the stop signal.
    pub fn note<C: Serialize>(&self, cursor: &C, report: Report) -> Result<(), Failure> {
        let cursor = serde_json::to_string(cursor)
            .map_err(|error| Failure::permanent(Code::Internal, format!("its cursor cannot be written: {error}")))?;
        let progress = Progress {
            phase: report.phase.to_owned(),
            unit: self.0.task.progress.unit,
            done: report.done,
            total: report.total,
            active: self.0.task.progress.active + self.0.started.elapsed(),
            updated_at: self.now(),
        };
        self.latest().say(cursor, progress);
        Ok(())
    }

    /// The cursor that this run noted last, by [`Context::note`] or a checkpoint; none before the first.
    ///
    /// # Errors
    /// A permanent failure if the text does not fit `C`.
    pub fn noted<C: DeserializeOwned>(&self) -> Result<Option<C>, Failure> {
        let cursor = self.last().and_then(|(cursor, _)| cursor);
        let cursor = cursor.as_deref().map(serde_json::from_str).transpose();
        cursor.map_err(|error| Failure::permanent(Code::Internal, format!("the noted cursor cannot be read: {error}")))
    }

    /// The run must stop.
    pub fn stop_requested(&self) -> bool {
        *self.0.signal.borrow() != Signal::Run
    }

    /// Returns where the run must stop.
    ///
    /// # Errors
    /// As [`Context::checkpoint`].
    pub fn check_stop(&self) -> Result<(), Stop> {
        match *self.0.signal.borrow() {
            Signal::Run => Ok(()),
            Signal::Lost => Err(Stop::LeaseLost),
            Signal::Pause | Signal::Terminate | Signal::Shutdown(_) => Err(Stop::Interrupted),
        }
    }

    /// Waits until the run must stop, to be raced against what may take long.
    pub async fn stopped(&self) -> Stop {
        let mut signal = self.0.signal.clone();
        // The sender lives as long as the run is registered; once it is gone the lease is too.
        match signal.wait_for(|signal| *signal != Signal::Run).await {
            Ok(_) => self.check_stop().err().unwrap_or(Stop::Interrupted),
            Err(_) => Stop::LeaseLost,
        }
    }

    /// Waits until what is under way must be given up: at once after a termination, `patience` after a pause, and after a
    /// shutdown when its grace is nearly over. A task that takes a slot is aborted two seconds after it was asked to stop.
    pub async fn cut_off(&self, patience: Duration) -> Stop {
        let stop = self.stopped().await;
        let mut signal = self.0.signal.clone();
        let until = self.shutdown().unwrap_or_else(|| tokio::time::Instant::now() + patience);
        let at_once = signal.wait_for(|signal| matches!(signal, Signal::Terminate | Signal::Lost));
        match tokio::time::timeout_at(until, at_once).await {
            Ok(_) => self.check_stop().err().unwrap_or(Stop::LeaseLost),
            Err(_) => stop,
        }
    }

    /// When a run that was asked to stop just now is aborted: after `patience`, and later if a short task may still finish a
    /// request while the node shuts down.
    pub(super) fn aborted_at(&self, patience: Duration) -> tokio::time::Instant {
        let soon = tokio::time::Instant::now() + patience;
        let finishing = self.shutdown().filter(|_| self.0.task.is_short());
        finishing.map_or(soon, |until| soon.max(until + ENDING))
    }

    /// Until when a request under way may be finished, if the node shuts down.
    fn shutdown(&self) -> Option<tokio::time::Instant> {
        match *self.0.signal.borrow() {
            Signal::Shutdown(until) => Some(until),
            _ => None,
        }
    }

    /// Runs blocking work on a thread apart from those that serve clients. The task is not said to be paused or
    /// terminated before `work` has returned: long work looks at [`Context::stop_requested`].
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let held = self.0.threads.token();
        let handle = tokio::task::spawn_blocking(move || {
            let _held = held;
            work()
        });
        handle.await.map_err(|error| Failure::internal(format!("a thread of the task: {error}")))
    }

    /// Runs `work` to its end on a tokio task of its own, even if the run is aborted meanwhile. As with
    /// [`Context::blocking`], the task is not said to be paused or terminated before. Use it for what must not be cut off or
    /// would go on after an abort, such as writes to files; long work observes [`Context::stopped`].
    pub async fn uninterrupted<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let held = self.0.threads.token();
        // Dropped with the value, and after it.
        let handle = tokio::spawn(async move { (work.await, held) });
        let ended = handle.await.map_err(|error| Failure::internal(format!("a part of the run: {error}")))?;
        Ok(ended.0)
    }

    /// Runs computing work on threads of low priority, one a core, that are the run's own; rayon's calls inside it use all
    /// of them. As with [`Context::blocking`], long work looks at [`Context::stop_requested`].
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let (done, answer) = oneshot::channel();
        let held = self.0.threads.token();
        self.0.pool.spawn(move || {
            let _held = held;
            // The one who waits may have been dropped.
            let _ = done.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)));
        });
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(Failure::internal("the computation panicked")),
            Err(_) => Err(Failure::internal("the computing pool has ended")),
        }
    }

    /// Waits until no thread works for the run any more.
    pub(super) async fn quiet(&self) {
        self.0.threads.close();
        self.0.threads.wait().await;
    }

    /// Counts what the run has committed, now that the task store has it.
    pub(super) fn committed(&self, task: &Task) {
        self.0.work.committed(task.progress.done);
    }

    pub(super) fn key(&self) -> FenceToken {
        FenceToken { id: self.id(), epoch: self.epoch() }
    }

    /// What is committed and was last said of it.
    pub(super) fn last(&self) -> Last {
        self.latest().last().clone()
    }

    /// What is to be written now.
    fn begin_write(&self, durable: Durability) -> Last {
        let mut latest = self.latest();
        latest.begin(durable, Clock::monotonic());
        latest.last().clone()
    }

    /// Writes it, however long the store is away.
    async fn write(&self, said: Last, durable: Durability) -> Result<(), Stop> {
        let Some((cursor, progress)) = said else { return Ok(()) };
        loop {
            match self.0.store.report(self.key(), cursor.clone(), progress.clone(), durable).await {
                Ok(task) => {
                    self.committed(&task);
                    // The state tells what a lost wakeup did not.
                    let stops = matches!(task.state, State::Pausing | State::Terminating);
                    return if stops { Err(Stop::Interrupted) } else { Ok(()) };
                }
                Err(error) if error.is_lease_lost() => return Err(Stop::LeaseLost),
                Err(error) => self.wait_out(&error).await?,
            }
        }
    }

    async fn wait_out(&self, error: &store::Error) -> Result<(), Stop> {
        tracing::warn!(task = %self.id(), kind = self.0.task.kind, epoch = self.epoch(), %error, "store unavailable; retrying to write a checkpoint");
        tokio::select! {
            stop = self.stopped() => Err(stop),
            () = tokio::time::sleep(AWAY) => Ok(()),
        }
    }

    /// A panic while it was locked leaves a whole report.
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
