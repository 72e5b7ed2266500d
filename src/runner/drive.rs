//! The way of a claimed task on this node: run, record the end, publish or roll back, until the node no longer owns it.

use std::fmt::Display;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::kind::{Failure, Kind, Termination};
use super::kind_calls::{self, KindCall};
use super::reservations::Reservation;
use super::{Context, Runner};
use crate::access::Caller;
use crate::retry::until_available;
use crate::spans;
use crate::task::change::End;
use crate::task::{State, Task, TaskError};

/// The right to run, which a run holds until it ends.
pub(super) enum RunPermit {
    /// None: the run only ends what another run began.
    None,
    /// A slot of a long task.
    Slot(OwnedSemaphorePermit),
    /// The reservation of a short task.
    Short(Reservation),
}

/// A run of a claimed task on this node.
pub(super) struct TaskRun {
    pub(super) runner: Runner,
    pub(super) context: Context,
    pub(super) permit: RunPermit,
    /// The task as the store returned it last.
    pub(super) task: Arc<Task>,
}

/// Drives `task`, which this node has claimed and registered, to the end of its run. Its span is linked to the task's start.
pub(super) async fn drive(runner: Runner, context: Context, permit: RunPermit, task: Arc<Task>) {
    let span = run_span(&task);
    let run = TaskRun { runner, context, permit, task };
    let state = run.run_to_end().instrument(span.clone()).await;
    span.record("task.outcome", state.map_or("LEASE_LOST", |state| state.shown().as_str()));
    if matches!(state, None | Some(State::Failed)) {
        span.record("otel.status_code", "ERROR");
    }
}

fn run_span(task: &Task) -> Span {
    let span = tracing::info_span!(
        target: spans::TARGET,
        parent: None,
        "run",
        otel.name = format_args!("run {}", task.kind),
        otel.status_code = Empty,
        task.id = %task.id,
        task.kind = task.kind,
        task.epoch = task.epoch,
        task.outcome = Empty,
    );
    if let Some(start) = &task.trace_parent {
        spans::link(&span, start);
    }
    span
}

impl TaskRun {
    /// Returns the last state that this run wrote or found. None if it lost its lease.
    async fn run_to_end(mut self) -> Option<State> {
        let claimed = Arc::clone(&self.task);
        let mut state = None;
        // A node claims only tasks of kinds that it knows.
        let kind = self.runner.kind(&self.task.kind).cloned();
        while let Some(kind) = &kind
            && let Some(end) = self.next_end(kind).await
        {
            self.free_slot();
            let stored = self.record_end(kind, end).await;
            state = stored.as_ref().map(|task| task.state);
            match stored {
                Some(next) if self.owns(&next) => self.task = next,
                _ => break,
            }
        }
        self.release(&claimed).await;
        state
    }

    /// Takes the step that the state of the task requires. Returns how that ended, or None if nothing more may be written.
    async fn next_end(&self, kind: &Arc<dyn Kind>) -> Option<End> {
        if let Some(error) = self.task.crash_error(self.runner.0.settings.crash_limit) {
            return self.fail(kind, error).await;
        }
        match self.task.state {
            State::Running => self.run_kind(kind).await,
            State::Finishing => self.publish(kind).await,
            State::Pausing => Some(self.reconcile(kind).await),
            State::Terminating => self.terminate(kind).await,
            _ => None,
        }
    }

    /// Publishes the result.
    async fn publish(&self, kind: &Arc<dyn Kind>) -> Option<End> {
        let placed = kind_calls::call(kind, &self.context, KindCall::Place(self.task.result.clone())).await;
        let published = match &placed {
            Ok(()) => kind_calls::call(kind, &self.context, KindCall::Publish(self.task.result.clone())).await,
            Err(_) => placed.clone(),
        };
        match published {
            Ok(()) => Some(End::Complete),
            Err(failure) if placed.is_err() => Some(self.remake(failure)),
            Err(failure) => {
                self.warn(Some(&failure), "publishing failed");
                Some(self.retry_if_left(failure))
            }
        }
    }

    async fn reconcile(&self, kind: &Arc<dyn Kind>) -> End {
        match kind_calls::call(kind, &self.context, KindCall::Reconcile).await {
            Ok(()) => End::Release,
            Err(failure) => self.retry_if_left(failure),
        }
    }

    async fn terminate(&self, kind: &Arc<dyn Kind>) -> Option<End> {
        match self.roll_back(kind_calls::terminate(kind, &self.context)).await? {
            Ok(Termination::RolledBack) => Some(End::RolledBack),
            Ok(Termination::Published(result)) => Some(End::Published(result)),
            Err(failure) => Some(self.rollback_failed(failure)),
        }
    }

    /// Rolls back what the task wrote before it becomes FAILED by `error`.
    pub(super) async fn fail(&self, kind: &Arc<dyn Kind>, error: TaskError) -> Option<End> {
        match self.roll_back(kind_calls::call(kind, &self.context, KindCall::Fail)).await? {
            Ok(()) => Some(End::Fail(error)),
            Err(rollback) => Some(self.not_rolled_back(error, rollback)),
        }
    }

    /// Returns true if this run still owns the task, whose newest version is `stored`.
    pub(super) fn owns(&self, stored: &Task) -> bool {
        stored.owner == self.task.owner && stored.epoch == self.task.epoch
    }

    /// Releases what the run holds, once its last thread has ended.
    async fn release(mut self, claimed: &Task) {
        self.context.wait_for_threads().await;
        self.runner.0.registry.remove(claimed);
        self.free_slot();
    }

    /// Lets another task run: a run that has returned needs no slot while its end is recorded and its result published.
    fn free_slot(&mut self) {
        match std::mem::replace(&mut self.permit, RunPermit::None) {
            RunPermit::Slot(slot) => {
                drop(slot);
                self.runner.0.wakeups.work.notify_slot();
            }
            other => self.permit = other,
        }
    }

    /// Counts and logs that the lease is lost.
    pub(super) fn log_lease_lost(&self, text: &str) {
        self.runner.0.metrics.run_lost();
        self.warn(None, text);
    }

    /// Logs a warning about this run.
    pub(super) fn warn(&self, error: Option<&dyn Display>, text: &str) {
        let task = &self.task;
        tracing::warn!(
            task = %task.id,
            kind = task.kind,
            state = %task.state,
            epoch = task.epoch,
            node = self.runner.0.settings.node,
            error = error.map(display),
            "{text}"
        );
    }
}

impl TaskRun {
    /// Rolls back what the task wrote. Returns None if a newer run owns the task: files carry no epoch, so this would delete
    /// the files of that run.
    async fn roll_back<T>(&self, rollback: impl Future<Output = Result<T, Failure>>) -> Option<Result<T, Failure>> {
        let (store, caller) = (&self.runner.0.store, Caller::system());
        let read = || store.get(&caller, self.task.id);
        let stored = until_available(read, |error| self.log_unavailable(error)).await;
        let owned = stored.is_some_and(|stored| self.owns(&stored));
        if !owned || self.context.may_act().await.is_err() {
            self.log_lease_lost("lease lost; stopping run without rolling back");
            return None;
        }
        Some(rollback.await)
    }
}
