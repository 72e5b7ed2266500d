//! Failures of a run, of publishing and of a rollback: another attempt, or FAILED.

use jiff::Timestamp;

use super::{ControlRequest, Refusal};
use crate::task::{Event, Retry, RetryPolicy, State, StateChange, Task, TaskError};

impl Task {
    pub(super) fn fail(
        &mut self,
        event: Event,
        error: TaskError,
        request: &ControlRequest,
    ) -> Result<Option<StateChange>, Refusal> {
        let error = error.storable();
        self.error = Some(error.clone());
        self.step(event, &request.clone().with_reason(error.message))
    }

    /// A rollback that failed is repeated while attempts are left.
    pub(super) fn rollback_failed(
        &mut self,
        error: TaskError,
        (retry, policy): (Retry, RetryPolicy),
        request: &ControlRequest,
    ) -> Result<Option<StateChange>, Refusal> {
        if self.state == State::Terminating && self.next_attempt(retry, policy, request.at).is_some() {
            return self.retry(Event::Retry, error, (retry, policy), request);
        }
        self.fail(Event::RollbackFailed, error, request)
    }

    /// A task that fails is rolled back first, again while attempts are left.
    pub(super) fn not_rolled_back(
        &mut self,
        error: TaskError,
        rollback: TaskError,
        (retry, policy): (Retry, RetryPolicy),
        request: &ControlRequest,
    ) -> Result<Option<StateChange>, Refusal> {
        if self.next_attempt(retry, policy, request.at).is_none() {
            let message = format!("{} Then the rollback failed: {}", error.message, rollback.message);
            return self.fail(Event::Fail, TaskError { message, ..error }, request);
        }
        // A client can terminate the task while it waits.
        let event = if self.state == State::Finishing { Event::Remake } else { Event::Retry };
        self.retry(event, rollback, (retry, policy), request)
    }

    /// Returns when the task is attempted again after a failure at `now`. None if no attempt is left.
    fn next_attempt(&self, retry: Retry, policy: RetryPolicy, now: Timestamp) -> Option<Timestamp> {
        policy.next_attempt(retry, self.times(retry) + 1, now)
    }

    /// Returns how often in a row the task was retried in that way.
    fn times(&self, retry: Retry) -> u32 {
        if retry.is_wait() { self.waits } else { self.failures }
    }

    pub(super) fn retry(
        &mut self,
        event: Event,
        error: TaskError,
        (retry, policy): (Retry, RetryPolicy),
        request: &ControlRequest,
    ) -> Result<Option<StateChange>, Refusal> {
        let due_at = self.next_attempt(retry, policy, request.at).ok_or(Refusal::NoAttemptLeft)?;
        let error = error.storable();
        if retry.is_wait() {
            self.waits += 1;
        } else {
            self.attempt += 1;
            self.failures += 1;
        }
        self.error = Some(error.clone());
        let change = self.step(event, &request.clone().with_reason(error.message))?;
        if self.state != State::Paused {
            self.due_at = Some(due_at);
            self.due_since = self.due_at.filter(|_| self.is_short());
        }
        self.owner = None;
        Ok(change)
    }
}
