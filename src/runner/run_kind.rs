//! One attempt: calls [`Kind::run`] on a tokio task of its own, and aborts it if it does not stop when it must.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tracing::Instrument;

use super::drive::{RunPermit, TaskRun};
use super::kind::{Kind, StopReason};
use super::kind_calls::panic_failure;
use super::reservations::ActivePermit;
use crate::spawn::spawn;
use crate::task::ResultFile;
use crate::task::Retry;
use crate::task::change::End;

type RunResult = Result<Option<ResultFile>, StopReason>;

impl TaskRun {
    /// Runs the kind. Returns how the run ended, or None if nothing more may be written.
    pub(super) async fn run_kind(&self, kind: &Arc<dyn Kind>) -> Option<End> {
        let _active = match self.become_active().await {
            Ok(permit) => permit,
            Err(stop) => return self.end_of(kind, stop).await,
        };
        let handle = {
            let (kind, context) = (Arc::clone(kind), self.context.clone());
            spawn(async move { kind.run(&context).await }.in_current_span())
        };
        let result = self.join_or_abort(handle).await;
        self.context.wait_for_threads().await;
        match result {
            Ok(_) if self.task.is_short() => Some(End::Done),
            Ok(file) => Some(End::Finish(file)),
            Err(stop) => self.end_of(kind, stop).await,
        }
    }

    /// Returns the end of a run that stopped without a result.
    async fn end_of(&self, kind: &Arc<dyn Kind>, stop: StopReason) -> Option<End> {
        match stop {
            StopReason::Interrupted => Some(End::Release),
            StopReason::LeaseLost => {
                self.log_lease_lost("lease lost; stopping run without further writes");
                None
            }
            StopReason::Failed(failure) if failure.retry == Retry::Never => self.fail(kind, failure.into()).await,
            StopReason::Failed(failure) => {
                if failure.retry == Retry::Elsewhere {
                    self.runner.0.full_disk.note_failure(&self.runner.0.files.scratch).await;
                }
                Some(self.retry_if_left(failure))
            }
        }
    }

    /// Waits until a short task is due, never less, and then for its permit.
    async fn become_active(&self) -> Result<Option<ActivePermit>, StopReason> {
        let RunPermit::Short(reservation) = &self.permit else { return Ok(None) };
        let active = async {
            if let Some(due) = self.task.due_at {
                self.runner.0.clock.sleep_until(due).await;
            }
            reservation.activate().await
        };
        tokio::select! {
            biased;
            stop = self.context.stopped() => Err(stop),
            permit = active => Ok(permit),
        }
    }

    /// Waits for the run. Aborts it if it must stop and does not.
    async fn join_or_abort(&self, mut handle: JoinHandle<RunResult>) -> RunResult {
        let patience = self.runner.0.settings.stop_patience;
        loop {
            tokio::select! {
                joined = &mut handle => return joined.unwrap_or_else(join_error),
                _ = self.context.stopped() => {}
            }
            if let Ok(joined) = tokio::time::timeout_at(self.context.abort_at(patience), &mut handle).await {
                return joined.unwrap_or_else(join_error);
            }
            // A pause that was taken back in time aborts nothing.
            if self.context.stop_requested() {
                self.warn(None, &format!("run did not stop within {} s; aborting", patience.as_secs_f64()));
                handle.abort();
            }
        }
    }
}

fn join_error(error: tokio::task::JoinError) -> RunResult {
    match error.try_into_panic() {
        Ok(panic) => Err(panic_failure("The run", &*panic).into()),
        Err(_) => Err(StopReason::Interrupted),
    }
}
