//! The end of a run: what follows a failure, and writing the end to the store.

use std::sync::Arc;

use super::Runner;
use super::drive::TaskRun;
use super::kind::{Failure, Kind};
use crate::access::Caller;
use crate::retry::until_available;
use crate::store;
use crate::task::change::End;
use crate::task::{Author, ControlRequest, Refusal, RetryPolicy, Task, TaskError};

/// Number of failed rollbacks in a row after which a task is FAILED with what it wrote.
const ROLLBACK_ATTEMPTS: u32 = 8;

/// Advice to a client on how to delete the data that a failed rollback left.
const REPEATED: &str = "Deleting the task attempts it again.";

impl TaskRun {
    /// Returns the end that a failure leads to: another attempt while any is left. The task decides, as it is when the end is written.
    pub(super) fn retry_if_left(&self, failure: Failure) -> End {
        let retry = failure.retry;
        End::Retry(failure.into(), retry, self.retry_policy())
    }

    /// Returns the end after which the run makes its result again.
    pub(super) fn remake(&self, failure: Failure) -> End {
        let retry = failure.retry;
        End::Remake(failure.into(), retry, self.retry_policy())
    }

    /// Returns the end after a failed rollback of a terminated task: another attempt, or FAILED.
    pub(super) fn rollback_failed(&self, failure: Failure) -> End {
        self.warn(Some(&failure), "rollback failed");
        let retry = failure.retry;
        let message = format!("The rollback failed: {failure} {REPEATED}");
        End::RollbackFailed(Failure { message, ..failure }.into(), retry, self.rollback_policy(0))
    }

    /// Returns the end of a task that fails by `error`, and whose rollback failed too: another attempt, or FAILED.
    pub(super) fn not_rolled_back(&self, error: TaskError, rollback: Failure) -> End {
        self.warn(Some(&rollback), "rollback failed");
        let (retry, policy) = (rollback.retry, self.rollback_policy(self.runner.0.settings.retry_limit));
        let message = format!("{rollback} {REPEATED}");
        End::NotRolledBack(error, Failure { message, ..rollback }.into(), retry, policy)
    }

    /// Returns the policy of rollbacks, after that many failures of the run.
    fn rollback_policy(&self, failures: u32) -> RetryPolicy {
        RetryPolicy { limit: failures.saturating_add(ROLLBACK_ATTEMPTS), ..self.retry_policy() }
    }

    fn retry_policy(&self) -> RetryPolicy {
        let settings = &self.runner.0.settings;
        RetryPolicy { backoff: settings.retry_backoff, limit: settings.retry_limit }
    }

    /// Writes the end to the store, retrying while it is unavailable. If no attempt is left, or the run has values that the store can
    /// never hold, it is rolled back and fails. Returns the task as stored, or None if this run lost its lease.
    pub(super) async fn record_end(&self, kind: &Arc<dyn Kind>, end: End) -> Option<Arc<Task>> {
        let error = match (self.write_end(&end).await, end) {
            (Ok(stored), _) => return stored,
            (Err(store::Error::Refused(Refusal::NoAttemptLeft)), End::Retry(error, ..) | End::Remake(error, ..)) => {
                error
            }
            (Err(unstorable), _) => self.context.discard_checkpoint(&unstorable).into(),
        };
        let end = self.fail(kind, error).await?;
        self.write_end(&end).await.unwrap_or_else(|error| {
            self.warn(Some(&error), "could not record the end of the run; the task is released with the lease");
            None
        })
    }

    /// Writes the end to the store, retrying while it is unavailable.
    async fn write_end(&self, end: &End) -> Result<Option<Arc<Task>>, store::Error> {
        let attempt = async || match self.try_write_end(end.clone()).await {
            Err(error @ (store::Error::Unstorable(_) | store::Error::Refused(Refusal::NoAttemptLeft))) => {
                Ok(Err(error))
            }
            outcome => outcome.map(Ok),
        };
        until_available(attempt, |error| self.log_unavailable(error)).await
    }

    async fn try_write_end(&self, end: End) -> Result<Option<Arc<Task>>, store::Error> {
        let store = &self.runner.0.store;
        match store.end(&self.task, self.context.latest_checkpoint(), end, self.runner.end_request()).await {
            Ok(task) => {
                self.context.count_progress(&task);
                Ok(Some(task))
            }
            // The state changed as the run ended: the new state decides what follows.
            Err(store::Error::Refused(Refusal::Illegal(_))) => store.get(&Caller::system(), self.context.id()).await,
            Err(error) if error.is_lease_lost() => {
                self.runner.0.metrics.run_lost();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Logs that the store is unavailable at the end of the run.
    pub(super) fn log_unavailable(&self, error: &store::Error) {
        if !error.is_outage() {
            self.warn(Some(error), "store unavailable; retrying to record the end of the run");
        }
    }
}

impl Runner {
    /// Returns the request of this node to end a run.
    pub(super) fn end_request(&self) -> ControlRequest {
        let inner = &self.0;
        let request = ControlRequest::by(Author::node(&inner.settings.node), inner.clock.now());
        if inner.ending.is_cancelled() { request.with_reason("the node shuts down") } else { request }
    }
}
