//! Counts of unfinished tasks, for metrics.

use jiff::Timestamp;
use sqlx::Row;

use super::{Error, Store, row};
use crate::access::Caller;
use crate::numbers::{signed, unsigned};
use crate::task::{State, Task};

/// Maximum number of tasks that are counted in each state, short tasks and others apart. Bounds the cost of a count.
const COUNTED: i64 = 100_000;

/// Maximum number of queued tasks that are searched for the one that waits longest.
const LOOKED_AT: i64 = 1_000;

/// Counts of unfinished tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backlog {
    /// Number of unfinished tasks by kind and state. Contains no 0.
    pub counts: Vec<(String, State, u64)>,
    /// Time at which the longest waiting task was queued. Short tasks are not considered.
    pub oldest_queued: Option<Timestamp>,
    /// Number of short tasks that are due and not claimed.
    pub overdue: u64,
    /// Due time of the first of them.
    pub oldest_overdue: Option<Timestamp>,
}

impl Store {
    /// Counts unfinished tasks. Reads indexes in their order, up to a limit.
    #[tracing::instrument(target = "otlp.store", name = "store.backlog", skip_all)]
    pub async fn backlog(&self, now: Timestamp) -> Result<Backlog, Error> {
        let counts = sqlx::query(self.sql.unfinished.clone()).bind(COUNTED);
        let counts = self.read(counts.fetch_all(&self.pool)).await?;
        let oldest = sqlx::query(self.sql.oldest_queued.clone()).bind(LOOKED_AT);
        let oldest = self.read(oldest.fetch_one(&self.pool)).await?;
        let overdue = sqlx::query(self.sql.overdue.clone()).bind(now.as_microsecond()).bind(COUNTED);
        let overdue = self.read(overdue.fetch_one(&self.pool)).await?;
        Ok(Backlog {
            counts: counts.iter().map(count).collect::<sqlx::Result<_>>()?,
            oldest_queued: row::moment_if(&oldest, "due_at")?,
            overdue: unsigned(overdue.try_get("n")?),
            oldest_overdue: row::moment_if(&overdue, "due_at")?,
        })
    }
}

/// Maximum number of tasks that are counted before a queued one.
const BEFORE: u64 = 10_000;

impl Store {
    /// Returns the number of tasks that will be claimed before this one. None unless it is QUEUED, for a short task, which is claimed
    /// when it is due, and if there are more than 10,000.
    #[tracing::instrument(target = "otlp.store", name = "store.queue_position", skip_all, fields(%caller))]
    pub async fn queue_position(&self, caller: &Caller, task: &Task) -> Result<Option<u64>, Error> {
        if task.state != State::Queued || task.is_short() {
            return Ok(None);
        }
        let query =
            sqlx::query(self.sql.queued_before.clone()).bind(i64::from(task.priority)).bind(task.id.to_string());
        let row = self.read(query.bind(signed(BEFORE + 1)).fetch_one(&self.pool)).await?;
        Ok(Some(unsigned(row.try_get("n")?)).filter(|before| *before <= BEFORE))
    }
}

fn count(row: &sqlx::any::AnyRow) -> sqlx::Result<(String, State, u64)> {
    Ok((row.try_get("kind")?, row::parsed(row, "state")?, unsigned(row.try_get("n")?)))
}
