//! Tasks of nodes that end: their leases expire, or they shut down while a run has not ended.

use super::{ControlRequest, End, Refusal};
use crate::task::{Code, Event, Illegal, State, StateChange, Task, TaskError};

impl Task {
    /// Releases the task of a node whose lease expired. If that happened more than `limit` times in a row, its next run only rolls it
    /// back: see [`Task::crash_error`]. If rollbacks end so too, the task fails with what it wrote.
    pub fn lease_expired(&mut self, limit: u32, request: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        self.crashes += 1;
        self.attempt += 1;
        let rollbacks = self.crashes.saturating_sub(limit).saturating_sub(1);
        if let Some(error) = self.crash_error(limit).filter(|_| rollbacks > limit) {
            return self.end(End::Fail(error), request);
        }
        self.disown(Event::LeaseExpired, request)
    }

    /// Returns the error of a task whose nodes died more than `limit` times in a row while they ran it: it may be the cause. It is not
    /// run again, but rolled back.
    pub fn crash_error(&self, limit: u32) -> Option<TaskError> {
        let is_cause = self.crashes > limit && matches!(self.state, State::Running | State::Pausing);
        let message = || format!("the node that ran the task died {} times in a row", self.crashes);
        is_cause.then(|| TaskError::new(Code::Internal, message()))
    }

    /// Releases the task of a run that has not ended when its node does, and counts no attempt. PAUSED and TERMINATED are written only
    /// after a run has ended: a task in PAUSING or TERMINATING is refused, and waits until the lease of its node expires.
    pub fn hand_over(&mut self, request: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        if matches!(self.state, State::Pausing | State::Terminating) {
            let reason = "its run has not ended";
            return Err(Illegal { state: self.state, event: Event::Release, reason }.into());
        }
        self.disown(Event::Release, request)
    }

    fn disown(&mut self, event: Event, request: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        let change = self.step(event, request)?;
        self.owner = None;
        Ok(change)
    }
}
