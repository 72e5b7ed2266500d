//! What happens to a task, each verb one function: the state by the table, and the fields that go with it.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Code, Event, Illegal, NewTask, PauseExpiry, Progress, ResultFile, State, StateChange, Task, TaskError, TaskId, text,
};

/// What a client may ask of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
    /// End for good and undo.
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

/// Who asks for a change, why and when.
#[derive(Clone, Debug)]
pub struct ControlRequest {
    /// `client`, `system`, or `node NAME`.
    pub by: String,
    /// Shown in the history.
    pub reason: Option<String>,
    /// The moment of the change.
    pub at: Timestamp,
    /// How a pause that is asked for ends by itself; a second pause with one replaces the first one's.
    pub expiry: Option<PauseExpiry>,
    /// The same by the server's settings, where neither this pause nor an earlier one set any.
    pub default_expiry: Option<PauseExpiry>,
}

impl ControlRequest {
    /// An ask with nothing but its author and moment.
    pub fn by(by: impl Into<String>, at: Timestamp) -> ControlRequest {
        ControlRequest { by: by.into(), reason: None, at, expiry: None, default_expiry: None }
    }

    /// The same with a reason, cut to [`text::REASON`] characters.
    pub fn with_reason(mut self, reason: impl Into<String>) -> ControlRequest {
        self.reason = Some(text::storable(&reason.into(), text::REASON));
        self
    }
}

/// Why a task was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The lifecycle does not allow it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// A newer claim holds the task: the run that asks must stop without another write.
    #[error("the lease is lost: a newer run holds the task")]
    LeaseLost,
    /// Another unfinished task holds what this one needs.
    #[error("task {0} is in the way")]
    Conflict(TaskId),
    /// No task of that id.
    #[error("there is no task {0}")]
    NotFound(TaskId),
}

/// What an end of a run brings with it.
#[derive(Clone, Debug)]
pub enum End {
    /// Its work is done; the result, if it made one, is about to be published.
    Finish(Option<ResultFile>),
    /// The result is published.
    Complete,
    /// Its work is done, and there is nothing to publish.
    Done,
    /// No further try would mend it.
    Fail(TaskError),
    /// Another attempt may succeed.
    Retry(TaskError, NextAttempt),
    /// It let go as it was asked to.
    Release,
    /// What it wrote is undone.
    RolledBack,
}

/// When a failed run is attempted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAttempt {
    /// At this moment, however many attempts failed: the kind counts them itself.
    At(Timestamp),
    /// After a delay that doubles with each failure in a row without progress.
    Backoff {
        /// The first delay.
        first: Duration,
        /// The longest delay.
        longest: Duration,
        /// This many failures in a row without progress make the task FAILED. None: it is attempted without limit.
        limit: Option<u32>,
    },
}

impl NextAttempt {
    /// The moment of the attempt after `failures` in a row, the last of them at `now`; none if there is no further one.
    fn moment(self, failures: u32, now: Timestamp) -> Option<Timestamp> {
        match self {
            NextAttempt::At(moment) => Some(moment),
            NextAttempt::Backoff { limit: Some(limit), .. } if failures >= limit => None,
            NextAttempt::Backoff { first, longest, .. } => {
                let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(20)));
                Some(now.checked_add(doubled.min(longest)).unwrap_or(Timestamp::MAX))
            }
        }
    }
}

impl Task {
    /// A task as it is first written.
    pub fn new(id: TaskId, new: NewTask, at: Timestamp) -> Task {
        let start_at = new.start_at.filter(|start| *start > at);
        // A short task is taken in the order in which it was due.
        let due_at = if new.concurrency_key.is_some() { new.start_at.or(Some(at)) } else { start_at };
        Task {
            id,
            kind: new.kind,
            state: if start_at.is_some() { State::Scheduled } else { State::Queued },
            epoch: 0,
            version: 1,
            owner: None,
            label: new.label,
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
            error: None,
            result: None,
            created_at: at,
            start_at,
            started_at: None,
            finished_at: None,
            paused_at: None,
            due_at,
            due_since: due_at.filter(|_| new.concurrency_key.is_some()).map(|due| due.max(at)),
            expiry: None,
            unique_key: new.unique_key,
            idempotency_key: new.idempotency_key,
            upload: new.upload,
            concurrency_key: new.concurrency_key,
            trace_parent: None,
        }
    }

    /// A client, or an expired pause, asks for `verb`.
    pub fn control(&mut self, verb: Verb, ask: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        let early = self.start_at.is_some_and(|start| start > ask.at);
        let event = match verb {
            Verb::Pause => Event::Pause,
            Verb::Resume if early => Event::ResumeEarly,
            Verb::Resume => Event::Resume,
            Verb::Terminate => Event::Terminate,
        };
        if verb == Verb::Pause {
            self.state.next(event)?;
            self.expire_pause(ask);
        }
        self.step(event, ask)
    }

    fn expire_pause(&mut self, ask: &ControlRequest) {
        let paused = matches!(self.state, State::Pausing | State::Paused);
        let default = if paused { self.expiry } else { ask.default_expiry };
        self.expiry = ask.expiry.or(default);
        if self.state == State::Paused {
            self.due_at = self.expiry.map(|expiry| expiry.at);
        }
    }

    /// The moment that it waited for has come: its start, its next try, or the end of its pause.
    pub fn process_due(&mut self, at: Timestamp) -> Result<Option<StateChange>, Refusal> {
        let ask = ControlRequest::by("system", at);
        match self.expiry {
            Some(expiry) if self.state == State::Paused => {
                self.control(expiry.then, &ask.with_reason("the pause expired"))
            }
            _ => self.step(Event::Due, &ask),
        }
    }

    /// `node` takes it: a new epoch, so that whoever held it before can write no more. A short task keeps its moment, which
    /// may be still to come.
    pub fn claim(&mut self, node: &str, at: Timestamp) -> Result<Option<StateChange>, Refusal> {
        let ahead = self.is_short() && self.state == State::Scheduled;
        let event = if ahead { Event::ClaimAhead } else { Event::Claim };
        let change = self.step(event, &ControlRequest::by(format!("node {node}"), at))?;
        self.epoch += 1;
        self.owner = Some(node.to_owned());
        if !self.is_short() || self.state != State::Running {
            self.due_at = None;
        }
        self.started_at.get_or_insert(at);
        Ok(change)
    }

    /// It is short: it takes no slot.
    pub fn is_short(&self) -> bool {
        self.concurrency_key.is_some()
    }

    /// A short task that waits is put off until `until`, as its lane is full.
    pub fn defer(&mut self, until: Timestamp) {
        self.due_at = self.due_at.max(Some(until));
    }

    /// Its run reports what is committed. `done` never goes back, and progress forgives earlier crashes and errors.
    pub fn report(&mut self, cursor: Option<String>, progress: Progress) {
        if progress.done > self.progress.done {
            self.crashes = 0;
            self.failures = 0;
        }
        let done = progress.done.max(self.progress.done);
        let total = progress.total.map(|total| total.max(done));
        let active = progress.active.max(self.progress.active);
        self.progress = Progress { done, total, active, ..progress };
        if cursor.is_some() {
            self.cursor = cursor;
        }
    }

    /// Its run ends in the way of `end`.
    pub fn end(&mut self, end: End, ask: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        match end {
            End::Finish(result) => {
                let change = self.step(Event::Finish, ask)?;
                self.result = result.map(ResultFile::storable);
                self.error = None;
                Ok(change)
            }
            End::Complete => self.complete(ask),
            End::Done => {
                self.end(End::Finish(None), ask)?;
                self.complete(ask)
            }
            End::Release => self.step(Event::Release, ask),
            End::RolledBack => self.step(Event::RolledBack, ask),
            End::Fail(error) => {
                let error = error.storable();
                self.error = Some(error.clone());
                self.step(Event::Fail, &ask.clone().with_reason(error.message))
            }
            End::Retry(error, next) => match next.moment(self.failures + 1, ask.at) {
                Some(due_at) => self.retry(error.storable(), due_at, ask),
                None => self.end(End::Fail(error), ask),
            },
        }
    }

    fn retry(
        &mut self,
        error: TaskError,
        due_at: Timestamp,
        ask: &ControlRequest,
    ) -> Result<Option<StateChange>, Refusal> {
        self.attempt += 1;
        self.failures += 1;
        self.error = Some(error.clone());
        let change = self.step(Event::Retry, &ask.clone().with_reason(error.message))?;
        if self.state != State::Paused {
            self.due_at = Some(due_at);
            self.due_since = self.due_at.filter(|_| self.is_short());
        }
        self.owner = None;
        Ok(change)
    }

    fn complete(&mut self, ask: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        let change = self.step(Event::Complete, ask)?;
        let whole = self.progress.total.unwrap_or(0).max(self.progress.done);
        if self.progress.unit != super::Unit::Rows {
            self.progress.done = whole;
        }
        self.progress.total = Some(self.progress.done);
        self.progress.phase = "done".to_owned();
        Ok(change)
    }

    /// Its node fell silent. One death too many in a row, and the task itself is taken for their cause.
    pub fn lease_expired(&mut self, limit: u32, ask: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        self.crashes += 1;
        self.attempt += 1;
        let poisoned = self.crashes > limit && matches!(self.state, State::Running | State::Pausing);
        if poisoned {
            let message = format!("its node died {} times in a row while running it", self.crashes);
            return self.end(End::Fail(TaskError { code: Code::Internal.into(), message }), ask);
        }
        let change = self.step(Event::LeaseExpired, ask)?;
        self.owner = None;
        Ok(change)
    }

    /// Takes the arrow of the table, and brings the fields in line with the state that it leads to.
    fn step(&mut self, event: Event, ask: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        let from = self.state;
        self.state = from.next(event)?;
        if from == self.state {
            return Ok(None);
        }
        self.settle(from, ask.at);
        if from.shown() == self.state.shown() {
            return Ok(None);
        }
        let reason = ask.reason.clone();
        Ok(Some(StateChange { from: Some(from.shown()), to: self.state, at: ask.at, by: ask.by.clone(), reason }))
    }

    fn settle(&mut self, from: State, at: Timestamp) {
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
            self.failures = 0;
        }
    }

    fn unpause(&mut self) {
        self.paused_at = None;
        self.expiry = None;
    }
}
