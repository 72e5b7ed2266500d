//! Checkpoints: what is committed, and writing it to the task store.

use std::sync::MutexGuard;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::kind::{Failure, StopReason};
use super::super::report::{LatestCheckpoint, Report};
use super::{Context, parse_cursor};
use crate::clock::Clock;
use crate::database::log_failure;
use crate::lock::lock;
use crate::retry::until_available;
use crate::store::{self, Durability, LastReport};
use crate::task::{Code, Progress, State};

impl Context {
    /// Reports what is committed: the task resumes from here after a stop or a crash.
    ///
    /// Writes to the task store in the background, ten times a second and at each 32nd of the total. Waits for that write if
    /// the next one is due. A power loss may take back the last ten seconds of checkpoints.
    ///
    /// # Errors
    /// [`StopReason::Interrupted`] if a pause, a termination or a shutdown was requested, [`StopReason::LeaseLost`] if a newer
    /// run owns the task: return it at once.
    pub async fn checkpoint<C: Serialize + Sync>(&self, cursor: &C, report: Report) -> Result<(), StopReason> {
        self.set_checkpoint(cursor, report)?;
        self.check_stop()?;
        let mut writing = self.0.writing.lock().await;
        if writing.has_ended() {
            writing.end().await?;
        }
        let Some(durability) = self.latest().write_due(Clock::monotonic()) else { return Ok(()) };
        writing.end().await?;
        let (checkpoint, context, token) = (self.begin_write(durability), self.clone(), self.0.threads.token());
        writing.begin(async move {
            let _token = token;
            context.write(checkpoint, durability).await
        });
        Ok(())
    }

    /// Does the same, and returns once the checkpoint is on disk: what only the cursor before it needed may then be deleted.
    ///
    /// # Errors
    /// As [`Context::checkpoint`].
    pub async fn commit<C: Serialize + Sync>(&self, cursor: &C, report: Report) -> Result<(), StopReason> {
        self.set_checkpoint(cursor, report)?;
        self.check_stop()?;
        let mut writing = self.0.writing.lock().await;
        writing.end().await?;
        self.write(self.begin_write(Durability::Immediate), Durability::Immediate).await?;
        self.check_stop()
    }

    /// Sets the checkpoint that is written next, at the latest with the end of the run. Does not write and does not check for
    /// a stop.
    ///
    /// # Errors
    /// A permanent failure if the cursor cannot be serialized.
    pub fn set_checkpoint<C: Serialize>(&self, cursor: &C, report: Report) -> Result<(), Failure> {
        let cursor = serde_json::to_string(cursor).map_err(|error| {
            Failure::permanent(Code::Internal, format!("The cursor cannot be serialized: {error}."))
        })?;
        let progress = Progress {
            phase: report.phase.to_owned(),
            unit: self.0.task.progress.unit.clone(),
            done: report.done,
            total: report.total,
            active: self.0.task.progress.active + self.0.started.elapsed(),
            updated_at: self.now(),
        };
        self.latest().set(cursor, progress);
        Ok(())
    }

    /// Returns the cursor that this run set last, by [`Context::set_checkpoint`] or a checkpoint. None before the first.
    ///
    /// # Errors
    /// A permanent failure if the text does not fit `C`.
    pub fn latest_cursor<C: DeserializeOwned>(&self) -> Result<Option<C>, Failure> {
        let cursor = self.latest_checkpoint().and_then(|(cursor, _)| cursor);
        parse_cursor(cursor.as_deref())
    }

    /// Returns the checkpoint that this run set last.
    pub(in super::super) fn latest_checkpoint(&self) -> LastReport {
        self.latest().get().clone()
    }

    /// Removes the checkpoint that this run set last, because the task store cannot hold its values. Returns why the task fails.
    pub(in super::super) fn discard_checkpoint(&self, error: &store::Error) -> Failure {
        self.latest().discard();
        // The message itself must be storable in any encoding.
        let text: String = error.to_string().chars().filter(char::is_ascii).collect();
        Failure::input(format!("A value of this run was refused: {text}."))
    }

    /// Returns the checkpoint to write now.
    fn begin_write(&self, durability: Durability) -> LastReport {
        let mut latest = self.latest();
        latest.begin_write(durability, Clock::monotonic());
        latest.get().clone()
    }

    /// Writes a checkpoint, retrying while the store is unavailable and the run need not stop.
    async fn write(&self, checkpoint: LastReport, durability: Durability) -> Result<(), StopReason> {
        let Some((cursor, progress)) = checkpoint else { return Ok(()) };
        let attempt = || self.try_write(cursor.clone(), progress.clone(), durability);
        until_available(attempt, |error| self.log_unavailable(error)).await
    }

    /// Writes a checkpoint once. The outer error says that the store is unavailable, the inner one that the run must stop.
    async fn try_write(
        &self,
        cursor: Option<String>,
        progress: Progress,
        durability: Durability,
    ) -> Result<Result<(), StopReason>, store::Error> {
        match self.0.store.report(self.fence_token(), cursor, progress, durability).await {
            Ok(task) => {
                self.count_progress(&task);
                // The state shows a request whose wake-up was lost.
                let stops = matches!(task.state, State::Pausing | State::Terminating);
                Ok(if stops { Err(StopReason::Interrupted) } else { Ok(()) })
            }
            Err(error) if error.is_lease_lost() => Ok(Err(StopReason::LeaseLost)),
            Err(error @ store::Error::Unstorable(_)) => Ok(Err(self.discard_checkpoint(&error).into())),
            Err(error) => match self.check_stop() {
                Ok(()) => Err(error),
                Err(stop) => Ok(Err(stop)),
            },
        }
    }

    fn log_unavailable(&self, error: &store::Error) {
        log_failure!(
            error,
            task = %self.id(),
            kind = self.0.task.kind,
            epoch = self.epoch(),
            %error,
            "store unavailable; retrying to write a checkpoint"
        );
    }

    /// The checkpoint stays valid if a thread panics while it holds the lock.
    fn latest(&self) -> MutexGuard<'_, LatestCheckpoint> {
        lock(&self.0.latest)
    }
}
