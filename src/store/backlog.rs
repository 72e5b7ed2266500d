//! Counts of unfinished tasks, for metrics.

use jiff::Timestamp;
use sqlx::Row;

use super::{Error, Store, row};
use crate::numbers::unsigned;
use crate::task::State;

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

fn count(row: &sqlx::any::AnyRow) -> sqlx::Result<(String, State, u64)> {
    Ok((row.try_get("kind")?, row::parsed(row, "state")?, unsigned(row.try_get("n")?)))
}
