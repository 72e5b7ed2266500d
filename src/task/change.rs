//! Verbs of a task: each changes the state by the table, and the fields that belong to it.

mod failing;
mod node_end;
mod update;

use std::time::Duration;

use jiff::Timestamp;

pub use update::TaskUpdate;

use super::{
    Author, Event, Illegal, NewTask, NodeIdentity, PauseExpiry, Progress, ResultFile, Retry, RetryPolicy, State,
    StateChange, Task, TaskError, TaskId, text,
};

/// Control verb of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Stops at the next checkpoint and releases all resources.
    Pause,
    /// Continues from the last checkpoint.
    Resume,
    /// Stops permanently and rolls back.
    Terminate,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 3] = [Verb::Pause, Verb::Resume, Verb::Terminate];

    /// The name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Pause => "PAUSE",
            Verb::Resume => "RESUME",
            Verb::Terminate => "TERMINATE",
        }
    }
}

/// Request of a change: by whom, why and when.
#[derive(Clone, Debug)]
pub struct ControlRequest {
    /// Author: `client`, `system`, or `node NAME`.
    pub by: Author,
    /// Reason, shown in the history.
    pub reason: Option<String>,
    /// Time of the change.
    pub at: Timestamp,
    /// Expiry of a requested pause. Replaces that of an earlier pause.
    pub expiry: Option<PauseExpiry>,
    /// Expiry of a pause for which neither this request nor an earlier one sets one. From the settings.
    pub default_expiry: Option<PauseExpiry>,
}

impl ControlRequest {
    /// A request with only its author and time.
    pub fn by(by: Author, at: Timestamp) -> ControlRequest {
        ControlRequest { by, reason: None, at, expiry: None, default_expiry: None }
    }

    /// Adds a reason, cut to [`text::REASON`] characters.
    pub fn with_reason(mut self, reason: impl Into<String>) -> ControlRequest {
        self.reason = Some(text::storable(&reason.into(), text::REASON));
        self
    }
}

/// Reason for which a task was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The lifecycle table does not allow the change.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The run failed as often as it may. It rolls back what it wrote, and then the task fails.
    #[error("No attempt is left.")]
    NoAttemptLeft,
    /// A newer claim has the task. The run must stop without another write.
    #[error("Lease lost: a newer run has the task.")]
    LeaseLost,
    /// Another unfinished task has the same unique key.
    #[error("Task {0} conflicts with this one.")]
    Conflict(TaskId),
    /// The state does not allow the change of this value.
    #[error("{field} cannot be changed in {state}. {why}")]
    Inapplicable {
        /// Name of the value in the API.
        field: &'static str,
        /// State, as clients see it.
        state: State,
        /// Description of the allowed values.
        why: &'static str,
    },
    /// The task does not exist.
    #[error("Task {0} not found.")]
    NotFound(TaskId),
}

/// End of a run.
#[derive(Clone, Debug)]
pub enum End {
    /// The work is done. The result, if there is one, is to be published.
    Finish(Option<ResultFile>),
    /// The result is published.
    Complete,
    /// The task is to be terminated, but this result was published before.
    Published(Option<ResultFile>),
    /// The work is done, and there is no result to publish.
    Done,
    /// The task fails permanently. It is rolled back already.
    Fail(TaskError),
    /// The run failed. The task is retried. Refused if no attempt is left.
    Retry(TaskError, Retry, RetryPolicy),
    /// The result cannot be published as it is. The run makes it again. Refused if no attempt is left.
    Remake(TaskError, Retry, RetryPolicy),
    /// The run stopped as requested.
    Release,
    /// The rollback is complete.
    RolledBack,
    /// The rollback of a terminated task failed. It is repeated, or the task fails if no attempt is left.
    RollbackFailed(TaskError, Retry, RetryPolicy),
    /// The task fails by the first error, but its rollback failed with the second. That is repeated, or the task fails with what
    /// it wrote if no attempt is left.
    NotRolledBack(TaskError, TaskError, Retry, RetryPolicy),
}

impl Task {
    /// Returns a task as it is first written.
    pub fn new(id: TaskId, new: NewTask, at: Timestamp) -> Task {
        let start_at = new.start_at.filter(|start| *start > at);
        // Short tasks are claimed in the order of their due times.
        let due_at = if new.concurrency_key.is_some() { new.start_at.or(Some(at)) } else { start_at };
        Task {
            id,
            kind: new.kind,
            state: if start_at.is_some() { State::Scheduled } else { State::Queued },
            epoch: 0,
            version: 1,
            owner: None,
            label: new.label,
            dataset: new.dataset,
            file_name: new.file_name,
            spec: new.spec,
            cursor: None,
            progress: Progress {
                phase: "waiting".to_owned(),
                unit: new.unit,
                done: 0,
                total: new.total,
                active: Duration::ZERO,
                updated_at: at,
            },
            attempt: 0,
            crashes: 0,
            failures: 0,
            waits: 0,
            error: None,
            result: None,
            created_at: at,
            start_at,
            started_at: None,
            finished_at: None,
            paused_at: None,
            updated_at: at,
            due_at,
            due_since: due_at.filter(|_| new.concurrency_key.is_some()).map(|due| due.max(at)),
            expiry: None,
            unique_key: new.unique_key,
            idempotency_key: new.idempotency_key,
            upload: new.upload,
            concurrency_key: new.concurrency_key,
            trace_parent: None,
            tags: new.tags,
            priority: new.priority,
            notify_url: new.notify_url,
            created_by: new.created_by,
            max_rows_per_second: None,
        }
    }

    /// Applies a request of a client or of an expired pause.
    pub fn control(&mut self, verb: Verb, request: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        let early = self.start_at.is_some_and(|start| start > request.at);
        let event = match verb {
            Verb::Pause => Event::Pause,
            Verb::Resume if early => Event::ResumeEarly,
            Verb::Resume => Event::Resume,
            Verb::Terminate => Event::Terminate,
        };
        if verb == Verb::Pause {
            self.state.next(event)?;
            self.expire_pause(request);
        }
        self.step(event, request)
    }

    fn expire_pause(&mut self, request: &ControlRequest) {
        let paused = matches!(self.state, State::Pausing | State::Paused);
        let default = if paused { self.expiry } else { request.default_expiry };
        self.expiry = request.expiry.or(default);
        if self.state == State::Paused {
            self.due_at = self.expiry.map(|expiry| expiry.at);
        }
    }

    /// Applies what is due: the start, the next attempt, or the end of the pause.
    pub fn process_due(&mut self, at: Timestamp) -> Result<Option<StateChange>, Refusal> {
        let request = ControlRequest::by(Author::system(), at);
        match self.expiry {
            Some(expiry) if self.state == State::Paused => {
                self.control(expiry.then, &request.with_reason("the pause expired"))
            }
            _ => self.step(Event::Due, &request),
        }
    }

    /// Claims the task for `node`. The new epoch makes all earlier runs unable to write. A short task keeps its due time, which
    /// may be in the future.
    pub fn claim(&mut self, node: &NodeIdentity, at: Timestamp) -> Result<Option<StateChange>, Refusal> {
        let ahead = self.is_short() && self.state == State::Scheduled;
        let event = if ahead { Event::ClaimAhead } else { Event::Claim };
        let change = self.step(event, &ControlRequest::by(Author::node(&node.name), at))?;
        self.epoch += 1;
        self.owner = Some(node.id.clone());
        if !self.is_short() || self.state != State::Running {
            self.due_at = None;
        }
        self.started_at.get_or_insert(at);
        Ok(change)
    }

    /// Returns true for a short task, which takes no slot.
    pub fn is_short(&self) -> bool {
        self.concurrency_key.is_some()
    }

    /// Defers a waiting short task, because its concurrency key is at its limit.
    pub fn defer(&mut self, until: Timestamp) {
        self.due_at = self.due_at.max(Some(until));
    }

    /// Records committed progress. `done` never decreases. Progress resets the counts of crashes, failures and waits.
    pub fn report(&mut self, cursor: Option<String>, progress: Progress) {
        if progress.done > self.progress.done {
            self.crashes = 0;
            self.failures = 0;
            self.waits = 0;
        }
        let done = progress.done.max(self.progress.done);
        let total = progress.total.map(|total| total.max(done));
        let active = progress.active.max(self.progress.active);
        self.progress = Progress { done, total, active, ..progress };
        if cursor.is_some() {
            self.cursor = cursor;
        }
    }

    /// Ends the run of the task.
    pub fn end(&mut self, end: End, request: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        match end {
            End::Finish(result) => {
                let change = self.step(Event::Finish, request)?;
                self.result = result.map(ResultFile::storable);
                self.error = None;
                Ok(change)
            }
            End::Complete => self.complete(Event::Complete, request),
            End::Published(result) => {
                let change = self.complete(Event::Published, request)?;
                self.result = result.map(ResultFile::storable);
                self.error = None;
                Ok(change)
            }
            End::Done => {
                self.end(End::Finish(None), request)?;
                self.complete(Event::Complete, request)
            }
            End::Release => self.step(Event::Release, request),
            End::RolledBack => self.step(Event::RolledBack, request),
            End::Fail(error) => self.fail(Event::Fail, error, request),
            End::Retry(error, retry, policy) => self.retry(Event::Retry, error, (retry, policy), request),
            End::Remake(error, retry, policy) => self.retry(Event::Remake, error, (retry, policy), request),
            End::RollbackFailed(error, retry, policy) => self.rollback_failed(error, (retry, policy), request),
            End::NotRolledBack(error, rollback, retry, policy) => {
                self.not_rolled_back(error, rollback, (retry, policy), request)
            }
        }
    }

    fn complete(&mut self, event: Event, request: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        let change = self.step(event, request)?;
        let whole = self.progress.total.unwrap_or(0).max(self.progress.done);
        if self.progress.unit != super::Unit::Rows {
            self.progress.done = whole;
        }
        self.progress.total = Some(self.progress.done);
        self.progress.phase = "done".to_owned();
        Ok(change)
    }

    /// Changes the state by the table, and the fields that belong to the new state.
    fn step(&mut self, event: Event, request: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        let from = self.state;
        self.state = from.next(event)?;
        if from == self.state {
            return Ok(None);
        }
        self.settle(from, request.at);
        if from.shown() == self.state.shown() {
            return Ok(None);
        }
        let reason = request.reason.clone();
        Ok(Some(StateChange {
            from: Some(from.shown()),
            to: self.state,
            at: request.at,
            by: request.by.to_string(),
            reason,
        }))
    }

    fn settle(&mut self, from: State, at: Timestamp) {
        self.updated_at = self.updated_at.max(at);
        if !self.state.may_be_owned() {
            self.owner = None;
        }
        self.finished_at = self.state.is_final().then_some(at);
        if self.state != State::Finishing && self.state != State::Completed {
            self.result = None;
        }
        match self.state {
            State::Paused => {
                self.paused_at = Some(at);
                self.due_at = self.expiry.map(|expiry| expiry.at);
            }
            State::Pausing => {}
            State::Scheduled => {
                self.due_at = self.start_at;
                self.due_since = self.start_at.filter(|_| self.is_short());
                self.unpause();
            }
            State::Queued | State::Running if self.is_short() => {
                if matches!(from, State::Paused | State::Failed) {
                    self.due_at = Some(at);
                    self.due_since = Some(at);
                }
                self.due_at = self.due_at.or(Some(at));
                self.unpause();
            }
            _ => {
                self.due_at = None;
                self.unpause();
            }
        }
        if from == State::Failed && self.state == State::Queued {
            self.error = None;
            self.crashes = 0;
        }
        // A rollback has attempts of its own.
        if from == State::Failed || self.state == State::Terminating {
            self.failures = 0;
            self.waits = 0;
        }
    }

    fn unpause(&mut self) {
        self.paused_at = None;
        self.expiry = None;
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
