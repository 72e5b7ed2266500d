//! The end of a run: what follows a failure, and writing the end to the store.

use std::sync::Arc;
use std::time::Duration;

use super::drive::TaskRun;
use super::kind::{Failure, Retry};
use crate::store;
use crate::task::change::{End, NextAttempt};
use crate::task::{ControlRequest, Refusal, State, Task};

/// Delay between two writes while the store is unavailable.
const STORE_RETRY: Duration = Duration::from_millis(250);

/// Maximum delay before another attempt.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// Maximum delay before another attempt of a task that waits for an unavailable service.
const MAX_UNAVAILABLE_BACKOFF: Duration = Duration::from_secs(30);

impl TaskRun {
    /// Returns the end that a failure leads to: another attempt, or FAILED after too many in a row. The store decides by the
    /// task as it is when the end is written.
    pub(super) fn retry_or_fail(&self, failure: Failure) -> End {
        match failure.retry {
            Retry::Never => End::Fail(failure.into()),
            Retry::Limited => {
                let limit = self.runner.0.settings.retry_limit;
                End::Retry(failure.into(), self.backoff(MAX_BACKOFF, Some(limit)))
            }
            Retry::UntilAvailable | Retry::At(_) => self.retry(failure),
        }
    }

    /// Returns the end that leads to another attempt, however many failed.
    pub(super) fn retry(&self, failure: Failure) -> End {
        // In other states the log line of the transition has the error.
        match self.task.state {
            State::Finishing => self.warn(Some(&failure), "publishing failed; retrying"),
            State::Terminating => self.warn(Some(&failure), "rollback failed; retrying"),
            _ => {}
        }
        let next = match failure.retry {
            Retry::At(due) => NextAttempt::At(due),
            Retry::UntilAvailable => self.backoff(MAX_UNAVAILABLE_BACKOFF, None),
            Retry::Never | Retry::Limited => self.backoff(MAX_BACKOFF, None),
        };
        End::Retry(failure.into(), next)
    }

    fn backoff(&self, longest: Duration, limit: Option<u32>) -> NextAttempt {
        NextAttempt::Backoff { first: self.runner.0.settings.retry_backoff, longest, limit }
    }

    /// Writes the end to the store, retrying while it is unavailable. Returns the task as stored, or None if this run lost
    /// its lease.
    pub(super) async fn record_end(&self, end: End) -> Option<Arc<Task>> {
        let store = &self.runner.0.store;
        loop {
            match store.end(&self.task, self.context.latest_checkpoint(), end.clone(), self.end_request()).await {
                Ok(task) => {
                    self.context.count_progress(&task);
                    return Some(task);
                }
                // The state changed as the run ended: the new state decides what follows.
                Err(store::Error::Refused(Refusal::Illegal(_))) => match store.get(self.context.id()).await {
                    Ok(task) => return task,
                    Err(error) => self.wait_for_store(&error).await,
                },
                Err(error) if error.is_lease_lost() => {
                    self.runner.0.metrics.run_lost();
                    return None;
                }
                Err(error) => self.wait_for_store(&error).await,
            }
        }
    }

    fn end_request(&self) -> ControlRequest {
        let inner = &self.runner.0;
        let request = ControlRequest::by(format!("node {}", inner.settings.node), inner.clock.now());
        if inner.ending.is_cancelled() { request.with_reason("the node shuts down") } else { request }
    }

    pub(super) async fn wait_for_store(&self, error: &store::Error) {
        self.warn(Some(error), "store unavailable; retrying to record the end of the run");
        tokio::time::sleep(STORE_RETRY).await;
    }
}
