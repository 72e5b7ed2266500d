//! Limit of waiting tasks, without a count at each start.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, Row};

use super::dialect::SqlDialect;
use super::sql;
use crate::clock::Clock;
use crate::lock::lock;
use crate::numbers::{signed, unsigned};

/// Maximum limit at which tasks are counted again at each refused start.
const SMALL: u64 = 10_000;

/// Minimum time between two counts if the limit is larger and reached.
const RECOUNT_AFTER: Duration = Duration::from_secs(1);

/// Number of tasks that may still be added to those that wait. Waiting tasks are counted again once that many were added: so
/// tasks that ended meanwhile are noticed, and the limit holds.
pub struct BacklogLimit {
    shared: bool,
    counted: Mutex<WaitingCount>,
}

#[derive(Clone, Copy, Default)]
struct WaitingCount {
    limit: u64,
    left: u64,
    waiting: u64,
    full: Option<Instant>,
}

impl BacklogLimit {
    /// Returns a limit without a count.
    pub fn new(dialect: SqlDialect) -> BacklogLimit {
        BacklogLimit { shared: dialect == SqlDialect::Postgres, counted: Mutex::default() }
    }

    /// Reserves as many of `wanted` places as are free. Returns their number, and how many tasks wait if it is smaller.
    pub async fn take(&self, conn: &mut AnyConnection, wanted: u64, limit: u64) -> sqlx::Result<(u64, u64)> {
        let known = *self.counted();
        let rests = limit > SMALL && known.full.is_some_and(|at| at.elapsed() < RECOUNT_AFTER);
        if known.limit == limit && (known.left >= wanted || rests) {
            let taken = wanted.min(known.left);
            *self.counted() = WaitingCount { left: known.left - taken, ..known };
            return Ok((taken, known.waiting));
        }
        let waiting = waiting(conn, limit).await?;
        let left = limit.saturating_sub(waiting);
        let taken = wanted.min(left);
        let rest = left - taken;
        // Other nodes add tasks too, so this one counts again after half of the free places.
        let left = if self.shared { rest / 2 } else { rest };
        *self.counted() = WaitingCount { limit, left, waiting, full: (rest == 0).then(Clock::monotonic) };
        Ok((taken, waiting))
    }

    /// Reserves all of `wanted` places or none.
    ///
    /// # Errors
    /// The number of waiting tasks, if too few places are free.
    pub async fn take_all(&self, conn: &mut AnyConnection, wanted: u64, limit: u64) -> sqlx::Result<Result<(), u64>> {
        let (taken, waiting) = self.take(conn, wanted, limit).await?;
        if taken == wanted {
            return Ok(Ok(()));
        }
        self.counted().left += taken;
        Ok(Err(waiting))
    }

    /// Locks numbers that stay consistent even if a holder of the lock panics.
    fn counted(&self) -> MutexGuard<'_, WaitingCount> {
        lock(&self.counted)
    }
}

async fn waiting(conn: &mut AnyConnection, limit: u64) -> sqlx::Result<u64> {
    let row = sqlx::query(sql::WAITING).bind(signed(limit)).fetch_one(conn).await?;
    Ok(unsigned(row.try_get("n")?))
}
