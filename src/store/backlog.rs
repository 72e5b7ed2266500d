//! What waits, counted for those who operate the server.

use jiff::Timestamp;
use sqlx::Row;

use super::{Error, Store, row};
use crate::task::State;

/// Tasks of a state that are counted, short ones and others apart: so what a count costs is bounded.
const COUNTED: i64 = 100_000;

/// Queued tasks that are looked at for the one that waits longest.
const LOOKED_AT: i64 = 1_000;

/// What waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backlog {
    /// Unfinished tasks by kind and state, none of them 0.
    pub counts: Vec<(String, State, u64)>,
    /// When the task was queued that has been in the queue for longest, short ones left out.
    pub oldest_queued: Option<Timestamp>,
    /// Short tasks that are due and that no node has taken.
    pub overdue: u64,
    /// When the oldest of these was due.
    pub oldest_overdue: Option<Timestamp>,
}

impl Store {
    /// Counts unfinished tasks. Every part reads an index in its order, and no further than to its limit.
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
            overdue: row::unsigned(overdue.try_get("n")?),
            oldest_overdue: row::moment_if(&overdue, "due_at")?,
        })
    }
}

fn count(row: &sqlx::any::AnyRow) -> sqlx::Result<(String, State, u64)> {
    Ok((row.try_get("kind")?, row::parsed(row, "state")?, row::unsigned(row.try_get("n")?)))
}
