//! The staging of an import: a table named by its task, and a row with the cursor.

use std::collections::VecDeque;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::super::identifiers::quoted;
use super::super::model::to_json;
use super::super::{Batch, Checkpoint, Error, ImportPlan, PublishedStaging, Staging, WriteOutcome};
use super::PgConnections;
use super::copy::CopyIn;
use super::flush::WalFlush;
use super::schema::{create_table, own_table};
use super::write_slot::{CommitDecision, TableWrite, WriteTarget};
use super::{fence, listing, rejects, retired};
use crate::spawn::spawn;
use crate::task::TaskId;

/// Opens, takes over or creates the staging of a task.
pub(super) async fn stage(
    pool: &PgConnections,
    flush: &Arc<WalFlush>,
    task: TaskId,
    epoch: i64,
    plan: &ImportPlan,
) -> Result<Box<dyn Staging>, Error> {
    let writing = |begun: (Option<String>, i64)| Box::new(TableStaging::new((pool, flush), (task, epoch), plan, begun));
    let Some((mut transaction, row)) = fence::take_over(pool, task, epoch).await? else {
        create(pool, task, epoch, plan).await?;
        return Ok(writing((None, 0)));
    };
    if row.published {
        transaction.commit().await?;
        return Ok(Box::new(PublishedStaging { cursor: row.cursor }));
    }
    if row.plan != *plan {
        return Err(Error::Failed(format!("the staging of task {task} has another plan; discard it first")));
    }
    listing::check(&mut transaction, plan).await?;
    transaction.commit().await?;
    Ok(writing((row.cursor, row.rows)))
}

async fn create(pool: &PgConnections, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    listing::check(&mut transaction, plan).await?;
    let sql = "INSERT INTO pausa_datasets.staging (task, epoch, plan) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let insert = sqlx::query(sql).bind(task.to_string()).bind(epoch).bind(to_json(plan)?);
    if insert.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Err(Error::Unavailable("another run is opening the staging".into()));
    }
    let create = sqlx::AssertSqlSafe(create_table(task, &plan.columns));
    sqlx::raw_sql(create).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Drops the staging of a task. Does nothing if it is published or does not exist. Returns true if it is published.
pub(super) async fn discard(pool: &PgConnections, task: TaskId, epoch: i64) -> Result<bool, Error> {
    let Some((mut transaction, row)) = fence::take_over_to_end(pool, task, epoch).await? else {
        return Ok(false);
    };
    if !row.published {
        let own = quoted(&task.to_string());
        retired::retire(&mut transaction, ("pausa_datasets", &own), &format!("{task}-{epoch}")).await?;
        let delete = sqlx::query("DELETE FROM pausa_datasets.staging WHERE task = $1").bind(task.to_string());
        delete.execute(&mut *transaction).await?;
        rejects::drop_all(&mut transaction, task).await?;
    }
    transaction.commit().await?;
    retired::sweep_soon(pool);
    Ok(row.published)
}

/// Maximum number of writes that copy rows or commit at once. While one commits, the next ones copy their rows. This
/// number keeps a server busy while others wait.
const LANES: usize = 4;

/// Maximum number of active writes: those, the next one, and one that waits for the disk.
const UNDER_WAY: usize = 6;

/// Rows per write. A COPY has a fixed cost of about a thousand rows.
const ROWS_AT_ONCE: usize = 32_768;

/// Maximum distance of a row from its position in order.
pub(super) const SPREAD: u64 = (UNDER_WAY * ROWS_AT_ONCE) as u64;

/// The staging of one run. Each active write that copies rows or commits uses one connection.
struct TableStaging {
    target: Arc<WriteTarget>,
    cursor: Option<String>,
    /// Number of committed rows. `begun` also counts the rows of active writes.
    rows: i64,
    begun: i64,
    under_way: VecDeque<ActiveWrite>,
    /// Receives the commit of the last write.
    turn: Option<oneshot::Receiver<()>>,
}

/// An active write whose outcome was not returned yet. Rolled back if dropped.
struct ActiveWrite {
    ending: AbortOnDropHandle<WriteOutcome>,
    rows: i64,
    decision: Arc<CommitDecision>,
}

impl TableStaging {
    fn new(
        (pool, flush): (&PgConnections, &Arc<WalFlush>),
        (task, epoch): (TaskId, i64),
        plan: &ImportPlan,
        (cursor, rows): (Option<String>, i64),
    ) -> Self {
        let copy = CopyIn::new(&own_table(&task.to_string()), &plan.columns);
        let (pool, flush, slots) = (pool.clone(), Arc::clone(flush), Arc::new(Semaphore::new(LANES)));
        let target = Arc::new(WriteTarget { pool, task, epoch, copy, flush, door: Mutex::default(), slots });
        Self { target, cursor, rows, begun: rows, under_way: VecDeque::new(), turn: None }
    }

    /// Records the outcome of the oldest write.
    fn ended(&mut self, written: &WriteOutcome) {
        let rows = self.under_way.pop_front().map_or(0, |write| write.rows);
        if written.outcome.is_ok() {
            self.rows += rows;
        }
        if self.under_way.is_empty() {
            (self.begun, self.turn) = (self.rows, None);
        }
    }
}

#[async_trait]
impl Staging for TableStaging {
    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    fn write_slots(&self) -> usize {
        UNDER_WAY
    }

    fn rows_per_write(&self) -> usize {
        ROWS_AT_ONCE
    }

    async fn begin_write(&mut self, batch: Batch, checkpoint: Checkpoint) -> Result<(), Error> {
        let rows = i64::try_from(batch.len()).unwrap_or(i64::MAX);
        let (done, next) = oneshot::channel();
        let (turn, decision) = (self.turn.replace(next), Arc::<CommitDecision>::default());
        let write = TableWrite {
            batch,
            checkpoint,
            before: self.begun,
            turn,
            done: Some(done),
            decision: Arc::clone(&decision),
        };
        self.begun += rows;
        // This first poll decides the position in the queue.
        let mut slot = Box::pin(Arc::clone(&self.target).slot());
        let slot: Pin<Box<dyn Future<Output = _> + Send>> = match futures_util::poll!(&mut slot) {
            Poll::Ready(given) => Box::pin(ready(given)),
            Poll::Pending => slot,
        };
        let ending = AbortOnDropHandle::new(spawn(Arc::clone(&self.target).write(slot, write)));
        self.under_way.push_back(ActiveWrite { ending, rows, decision });
        Ok(())
    }

    async fn finish_write(&mut self) -> WriteOutcome {
        let broken = |text: String| WriteOutcome::failed(Batch::default(), Error::Failed(text));
        let written = match self.under_way.front_mut() {
            Some(write) => (&mut write.ending).await.unwrap_or_else(|error| broken(format!("a write failed: {error}"))),
            None => broken("no write is active".into()),
        };
        self.ended(&written);
        written
    }

    fn cancel_writes(&mut self) {
        self.under_way.iter().for_each(|write| write.decision.cancel());
    }

    async fn close(mut self: Box<Self>) -> Result<(), Error> {
        self.cancel_writes();
        while !self.under_way.is_empty() {
            self.finish_write().await;
        }
        Ok(())
    }
}
