//! One write: its rows stream into the table while the write before it commits, and it commits behind that one.

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::super::{Batch, Error, Mark, Written};
use super::copy::Copy;
use super::rejects;
use crate::task::TaskId;

/// The fence, and the order: a newer epoch, or a write before this one that is missing, leaves it no row to change. It comes
/// last, so that the row is held for the moment of the commit only; behind it, rejects come in their order too.
const COMMIT: &str = "UPDATE pausa_datasets.staging SET cursor = $4, rows = $3 + $5
    WHERE task = $1 AND epoch = $2 AND rows = $3 AND NOT published
    RETURNING set_config('synchronous_commit', CASE WHEN $6 THEN current_setting('synchronous_commit') ELSE 'off' END, true)";

/// A change that changes nothing: its commit waits for the disk, and with it for all that was committed before.
const FLUSH: &str = "UPDATE pausa_datasets.staging SET epoch = epoch WHERE task = $1 AND epoch = $2";

/// The staging that a run writes to.
pub(super) struct Target {
    pub(super) pool: PgPool,
    pub(super) task: TaskId,
    pub(super) epoch: i64,
    pub(super) copy: Copy,
}

/// A connection with what is used again from write to write.
pub(super) struct Lane {
    connection: PoolConnection<Postgres>,
    buffer: Vec<u8>,
}

/// Rows to be written behind the `before` first ones.
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) mark: Mark,
    pub(super) before: i64,
    /// Whether the commit waits for the disk.
    pub(super) durable: bool,
    /// Hears of the commit before this one; none where nothing is under way.
    pub(super) turn: Option<oneshot::Receiver<()>>,
    /// Tells the write behind this one.
    pub(super) done: oneshot::Sender<()>,
    pub(super) recalled: CancellationToken,
}

impl Target {
    /// Writes, on `lane` where there is one free. The lane comes back where it can be used again.
    pub(super) async fn write(&self, lane: Option<Lane>, mut write: Write) -> (Written, Option<Lane>) {
        let mut lane = match self.lane(lane, &write.batch).await {
            Ok(lane) => lane,
            Err(error) => return (Written::failed(write.batch, error), None),
        };
        let outcome = self.transact(&mut lane, &mut write).await;
        let lane = outcome.is_ok().then_some(lane);
        if outcome.is_ok() {
            // It may be the last one.
            let _ = write.done.send(());
        }
        (Written { batch: write.batch, outcome, durable: write.durable }, lane)
    }

    /// A lane for the batch, where that can be written at all.
    async fn lane(&self, lane: Option<Lane>, batch: &Batch) -> Result<Lane, Error> {
        self.copy.check(batch)?;
        match lane {
            Some(lane) => Ok(lane),
            None => Ok(Lane { connection: self.pool.acquire().await?, buffer: Vec::new() }),
        }
    }

    async fn transact(&self, lane: &mut Lane, write: &mut Write) -> Result<(), Error> {
        let mut transaction = lane.connection.begin().await?;
        let Err(error) = self.fill(&mut transaction, &mut lane.buffer, write).await else {
            return Ok(transaction.commit().await?);
        };
        let ended = transaction.rollback().await;
        if ended.is_err() {
            lane.connection.close_on_drop();
        }
        match error {
            // The table goes with the staging: whoever ended it is the newer run.
            Error::Failed(_) if ended.is_ok() && !self.holds(&mut lane.connection).await? => Err(Error::LeaseLost),
            error => Err(error),
        }
    }

    /// Everything but the commit.
    async fn fill(&self, to: &mut PgConnection, buffer: &mut Vec<u8>, write: &mut Write) -> Result<(), Error> {
        let Write { batch, mark, before, durable, turn, recalled, .. } = write;
        if !batch.is_empty() {
            self.copy.send(to, (*before, batch), buffer, recalled).await?;
        }
        if let Some(turn) = turn {
            tokio::select! {
                biased;
                () = recalled.cancelled() => return Err(Error::Recalled),
                committed = turn => committed.map_err(|_| Error::Recalled)?,
            }
        }
        let fenced = sqlx::query(COMMIT).bind(self.task.to_string()).bind(self.epoch).bind(*before);
        let fenced = fenced.bind(&mark.cursor).bind(i64::try_from(batch.len()).unwrap_or(i64::MAX));
        fenced.bind(*durable).fetch_optional(&mut *to).await?.ok_or(Error::LeaseLost)?;
        rejects::add(to, self.task, &mark.rejects).await
    }

    /// Waits until what is committed is on disk.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let flush = sqlx::query(FLUSH).bind(self.task.to_string()).bind(self.epoch);
        match flush.execute(&self.pool).await?.rows_affected() {
            0 => Err(Error::LeaseLost),
            _ => Ok(()),
        }
    }

    async fn holds(&self, connection: &mut PgConnection) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM pausa_datasets.staging WHERE task = $1 AND epoch = $2 AND NOT published";
        let held = sqlx::query(sql).bind(self.task.to_string()).bind(self.epoch);
        Ok(held.fetch_optional(connection).await?.is_some())
    }
}
