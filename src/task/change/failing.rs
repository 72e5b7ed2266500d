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
        let next = self.next_attempt(retry, policy, request.at).filter(|_| self.state == State::Terminating);
        match next {
            Some(due_at) => self.attempt_again(Event::Retry, error, (retry, due_at), request),
            None => self.fail(Event::RollbackFailed, error, request),
        }
    }

    /// A task that fails is rolled back first, again while attempts are left.
    pub(super) fn not_rolled_back(
        &mut self,
        error: TaskError,
        rollback: TaskError,
        (retry, policy): (Retry, RetryPolicy),
        request: &ControlRequest,
    ) -> Result<Option<StateChange>, Refusal> {
        let Some(due_at) = self.next_attempt(retry, policy, request.at) else {
            let message = format!("{} Then the rollback failed: {}", error.message, rollback.message);
            return self.fail(Event::Fail, TaskError { message, ..error }, request);
        };
        // A client can terminate the task while it waits.
        let event = if self.state == State::Finishing { Event::Remake } else { Event::Retry };
        self.attempt_again(event, rollback, (retry, due_at), request)
    }

    /// Returns when the task is attempted again after a failure at `now`. None if no attempt is left.
    fn next_attempt(&self, retry: Retry, policy: RetryPolicy, now: Timestamp) -> Option<Timestamp> {
        policy.next_attempt(retry, self.times(retry) + 1, now)
    }

    /// Returns how often in a row the task was retried in that way.
    fn times(&self, retry: Retry) -> u32 {
        if retry.is_wait() { self.waits } else { self.failures }
    }

    /// A run that failed is repeated while attempts are left. If the task was terminated meanwhile, its rollback follows anyway.
    pub(super) fn retry(
        &mut self,
        event: Event,
        error: TaskError,
        (retry, policy): (Retry, RetryPolicy),
        request: &ControlRequest,
    ) -> Result<Option<StateChange>, Refusal> {
        let Some(due_at) = self.next_attempt(retry, policy, request.at) else {
            return match self.state.next(Event::Fail)? {
                State::Failed => Err(Refusal::NoAttemptLeft),
                _ => self.fail(Event::Fail, error, request),
            };
        };
        self.attempt_again(event, error, (retry, due_at), request)
    }

    fn attempt_again(
        &mut self,
        event: Event,
        error: TaskError,
        (retry, due_at): (Retry, Timestamp),
        request: &ControlRequest,
    ) -> Result<Option<StateChange>, Refusal> {
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
