//! One write: its rows stream into the table while the write before it commits, it commits behind that one, and then waits
//! for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::super::{Batch, Checkpoint, Error, WriteOutcome};
use super::copy::CopyIn;
use super::flush::WalFlush;
use super::rejects;
use crate::task::TaskId;

/// The fence, and the order: a newer epoch, or a write before this one that is missing, leaves it no row to change. It comes
/// last, so that the row is held for the moment of the commit only; behind it, rejects come in their order too. The commit
/// itself does not wait for the disk.
const COMMIT: &str = "UPDATE pausa_datasets.staging SET cursor = $4, rows = $3 + $5
    WHERE task = $1 AND epoch = $2 AND rows = $3 AND NOT published
    RETURNING set_config('synchronous_commit', 'off', true)";

/// The staging that a run writes to.
pub(super) struct WriteTarget {
    pub(super) pool: PgPool,
    pub(super) task: TaskId,
    pub(super) epoch: i64,
    pub(super) copy: CopyIn,
    pub(super) flush: Arc<WalFlush>,
    /// Whose turn it is to get a slot.
    pub(super) door: Mutex<()>,
    pub(super) slots: Arc<Semaphore>,
}

/// A connection, and a permit among the writes that have one.
pub(super) struct WriteSlot {
    connection: PoolConnection<Postgres>,
    _permit: OwnedSemaphorePermit,
}

/// Rows to be written behind the `before` first ones.
pub(super) struct TableWrite {
    pub(super) batch: Batch,
    pub(super) checkpoint: Checkpoint,
    pub(super) before: i64,
    /// Hears of the commit before this one; none where nothing is under way.
    pub(super) turn: Option<oneshot::Receiver<()>>,
    /// Tells the write behind this one.
    pub(super) done: Option<oneshot::Sender<()>>,
    pub(super) decision: Arc<CommitDecision>,
}

/// Whether a write commits: decided once, by the write itself or by who takes it back.
#[derive(Default)]
pub(super) struct CommitDecision {
    decided: AtomicBool,
    cancelled: CancellationToken,
}

impl CommitDecision {
    /// Takes the write back, unless it commits already.
    pub(super) fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Whether this call decides it.
    fn decide(&self) -> bool {
        !self.decided.swap(true, Ordering::SeqCst)
    }
}

/// A write that nobody waits for any more does not commit.
struct CancelOnDrop(Arc<CommitDecision>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.decide();
        self.0.cancel();
    }
}

impl WriteTarget {
    /// A slot for the write that asks next. Lanes are given in the order of the first polls, and one after the other: a write
    /// that waits for the one before it never keeps the last connection from that.
    pub(super) async fn slot(self: Arc<Self>) -> Result<WriteSlot, Error> {
        let _door = self.door.lock().await;
        let permit = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Error::Cancelled)?;
        Ok(WriteSlot { connection: self.pool.acquire().await?, _permit: permit })
    }

    /// Writes, once there is a slot, and answers when the rows are on disk, or as soon as it is taken back: a server that is
    /// busy with its disk takes a while to hear of that, and gives the connection back when it has.
    pub(super) async fn write<L>(self: Arc<Self>, slot: L, mut write: TableWrite) -> WriteOutcome
    where
        L: Future<Output = Result<WriteSlot, Error>> + Send + 'static,
    {
        let (decision, target) = (Arc::clone(&write.decision), Arc::clone(&self));
        let _waiting = CancelOnDrop(Arc::clone(&decision));
        let mut working = tokio::spawn(async move {
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
        let written = written
            .unwrap_or_else(|error| WriteOutcome::failed(Batch::default(), Error::Failed(format!("a write: {error}"))));
        let Ok(()) = written.outcome else { return written };
        let outcome = tokio::select! {
            flushed = self.flush.wait() => flushed,
            // Whoever goes on finds it by the cursor.
            () = decision.cancelled.cancelled() => Err(Error::Cancelled),
        };
        WriteOutcome { outcome, ..written }
    }

    async fn commit<L>(&self, slot: L, write: &mut TableWrite) -> Result<(), Error>
    where
        L: Future<Output = Result<WriteSlot, Error>>,
    {
        self.copy.check(&write.batch)?;
        let mut slot = tokio::select! {
            biased;
            () = write.decision.cancelled.cancelled() => return Err(Error::Cancelled),
            slot = slot => slot?,
        };
        self.transact(&mut slot.connection, write).await?;
        if let Some(done) = write.done.take() {
            // It may be the last one.
            let _ = done.send(());
        }
        Ok(())
    }

    async fn transact(&self, connection: &mut PoolConnection<Postgres>, write: &mut TableWrite) -> Result<(), Error> {
        let mut transaction = connection.begin().await?;
        let Err(error) = self.fill(&mut transaction, write).await else {
            return Ok(transaction.commit().await?);
        };
        let ended = transaction.rollback().await;
        if ended.is_err() {
            connection.close_on_drop();
        }
        match error {
            // The table goes with the staging: whoever ended it is the newer run.
            Error::Failed(_) if ended.is_ok() && !self.holds(connection).await? => Err(Error::LeaseLost),
            error => Err(error),
        }
    }

    /// Everything but the commit.
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
        let fenced = sqlx::query(COMMIT).bind(self.task.to_string()).bind(self.epoch).bind(*before);
        let fenced = fenced.bind(&checkpoint.cursor).bind(i64::try_from(batch.len()).unwrap_or(i64::MAX));
        fenced.fetch_optional(&mut *to).await?.ok_or(Error::LeaseLost)?;
        rejects::add(to, self.task, &checkpoint.rejects).await
    }

    async fn holds(&self, connection: &mut PgConnection) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM pausa_datasets.staging WHERE task = $1 AND epoch = $2 AND NOT published";
        let held = sqlx::query(sql).bind(self.task.to_string()).bind(self.epoch);
        Ok(held.fetch_optional(connection).await?.is_some())
    }
}
