//! One write of a staging. It copies its rows while the previous write commits, commits after that one, and then waits
//! for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use sqlx::{PgConnection, Postgres};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::super::{Batch, Checkpoint, Error, WriteOutcome};
use super::copy::CopyIn;
use super::flush::WalFlush;
use super::{PgConnections, in_time, rejects};
use crate::database::PooledConnection;
use crate::spawn::spawn;
use crate::task::TaskId;

/// Checks the fence and the order: if a newer epoch took over, or an earlier write is missing, it changes no row. It
/// runs last, so that the row is locked only during the commit. Rejects follow it, so they are in order too. The commit
/// itself does not wait for the disk.
const COMMIT: &str = "UPDATE pausa_datasets.staging SET cursor = $4, rows = $3 + $5
    WHERE task = $1 AND epoch = $2 AND rows = $3 AND NOT published
    RETURNING set_config('synchronous_commit', 'off', true)";

/// The staging that a run writes to.
pub(super) struct WriteTarget {
    pub(super) pool: PgConnections,
    pub(super) task: TaskId,
    pub(super) epoch: i64,
    pub(super) copy: CopyIn,
    pub(super) flush: Arc<WalFlush>,
    /// Lets one write at a time wait for a slot.
    pub(super) door: Mutex<()>,
    pub(super) slots: Arc<Semaphore>,
}

/// A connection, and a permit that limits how many writes have one.
pub(super) struct WriteSlot {
    connection: PooledConnection<Postgres>,
    permit: OwnedSemaphorePermit,
}

/// Rows to write after the first `before` rows.
pub(super) struct TableWrite {
    pub(super) batch: Batch,
    pub(super) checkpoint: Checkpoint,
    pub(super) before: i64,
    /// Receives the commit of the previous write. None if no write was active.
    pub(super) turn: Option<oneshot::Receiver<()>>,
    /// Notifies the next write of the commit.
    pub(super) done: Option<oneshot::Sender<()>>,
    pub(super) decision: Arc<CommitDecision>,
}

/// Decision if a write commits. Made once: by the write itself, or by its cancellation.
#[derive(Default)]
pub(super) struct CommitDecision {
    decided: AtomicBool,
    cancelled: CancellationToken,
}

impl CommitDecision {
    /// Cancels the write, unless it commits already.
    pub(super) fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Returns true if this call made the decision.
    fn decide(&self) -> bool {
        !self.decided.swap(true, Ordering::SeqCst)
    }
}

/// Cancels a write when its caller does not wait for it any more.
struct CancelOnDrop(Arc<CommitDecision>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.decide();
        self.0.cancel();
    }
}

impl WriteTarget {
    /// Returns a slot. Slots are granted in the order of the first polls, one at a time, so that a write that waits for
    /// the previous one cannot use the last connection, which the previous one needs.
    pub(super) async fn slot(self: Arc<Self>) -> Result<WriteSlot, Error> {
        let _door = self.door.lock().await;
        let permit = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Error::Cancelled)?;
        Ok(WriteSlot { connection: self.pool.acquire().await?, permit })
    }

    /// Writes when a slot is free. Returns when the rows are on disk, or at once if the write is cancelled. A server
    /// whose disk is busy notices the cancellation later; its connection is returned to the pool then.
    pub(super) async fn write<L>(self: Arc<Self>, slot: L, mut write: TableWrite) -> WriteOutcome
    where
        L: Future<Output = Result<WriteSlot, Error>> + Send + 'static,
    {
        let (decision, target) = (Arc::clone(&write.decision), Arc::clone(&self));
        let _waiting = CancelOnDrop(Arc::clone(&decision));
        let mut working = spawn(async move {
            let outcome = target.commit(slot, &mut write).await;
            WriteOutcome { batch: write.batch, outcome }
        });
        let written = tokio::select! {
            biased;
            written = &mut working => written,
            () = decision.cancelled.cancelled() => match decision.decide() {
                true => return WriteOutcome::failed(Batch::default(), Error::Cancelled),
                false => working.await,
            },
        };
        let written = written.unwrap_or_else(|error| {
            WriteOutcome::failed(Batch::default(), Error::Failed(format!("a write failed: {error}")))
        });
        let Ok(()) = written.outcome else { return written };
        let outcome = tokio::select! {
            flushed = self.flush.wait() => flushed,
            // The run that resumes finds the committed rows by the cursor.
            () = decision.cancelled.cancelled() => Err(Error::Cancelled),
        };
        WriteOutcome { outcome, ..written }
    }

    async fn commit<L>(&self, slot: L, write: &mut TableWrite) -> Result<(), Error>
    where
        L: Future<Output = Result<WriteSlot, Error>>,
    {
        self.copy.check(&write.batch)?;
        let WriteSlot { connection, permit } = tokio::select! {
            biased;
            () = write.decision.cancelled.cancelled() => return Err(Error::Cancelled),
            slot = slot => slot?,
        };
        self.pool.during(self.transact(connection, write).boxed()).await?;
        drop(permit);
        if let Some(done) = write.done.take() {
            // There may be no next write.
            let _ = done.send(());
        }
        Ok(())
    }

    async fn transact(&self, mut connection: PooledConnection<Postgres>, write: &mut TableWrite) -> Result<(), Error> {
        in_time(sqlx::raw_sql("BEGIN").execute(&mut *connection)).await?;
        let filled = self.fill(&mut connection, write).await;
        if filled.as_ref().is_err_and(Error::is_unavailable) {
            // Dropping the connection closes it, which rolls back.
            return filled;
        }
        let end = if filled.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = in_time(sqlx::raw_sql(end).execute(&mut *connection)).await;
        let outcome = match filled {
            Ok(()) => Ok(ended.map(drop)?),
            // The table is dropped with the staging. Only a newer run drops it.
            Err(Error::Failed(_)) if ended.is_ok() && !self.holds(&mut connection).await? => Err(Error::LeaseLost),
            Err(error) => {
                ended?;
                Err(error)
            }
        };
        connection.release();
        outcome
    }

    /// Does everything except the commit.
    async fn fill(&self, to: &mut PgConnection, write: &mut TableWrite) -> Result<(), Error> {
        let TableWrite { batch, checkpoint, before, turn, decision, .. } = write;
        if !batch.is_empty() {
            self.copy.send(to, (*before, batch), &decision.cancelled).await?;
        }
        if let Some(turn) = turn {
            tokio::select! {
                biased;
                () = decision.cancelled.cancelled() => return Err(Error::Cancelled),
                committed = turn => committed.map_err(|_| Error::Cancelled)?,
            }
        }
        if !decision.decide() {
            return Err(Error::Cancelled);
        }
        checkpoint.lease.check()?;
        let fenced = sqlx::query(COMMIT).bind(self.task.to_string()).bind(self.epoch).bind(*before);
        let fenced = fenced.bind(&checkpoint.cursor).bind(i64::try_from(batch.len()).unwrap_or(i64::MAX));
        in_time(fenced.fetch_optional(&mut *to)).await?.ok_or(Error::LeaseLost)?;
        in_time(rejects::add(to, self.task, &checkpoint.rejects)).await
    }

    async fn holds(&self, connection: &mut PgConnection) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM pausa_datasets.staging WHERE task = $1 AND epoch = $2 AND NOT published";
        let owned = sqlx::query(sql).bind(self.task.to_string()).bind(self.epoch);
        Ok(in_time(owned.fetch_optional(connection)).await?.is_some())
    }
}
