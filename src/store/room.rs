//! How many more tasks may wait, without counting them at every start.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, Row};

use super::dialect::Dialect;
use super::row;
use super::sql;
use crate::clock::Clock;

/// A full house of so many is counted at once where somebody asks again; a larger one only so often.
const SMALL: u64 = 10_000;
const AGAIN: Duration = Duration::from_secs(1);

/// Room for tasks that wait. They are counted anew once as many have come as there was room for: so those that ended
/// meanwhile are noticed in time, and the limit holds.
pub struct Room {
    shared: bool,
    counted: Mutex<Counted>,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    limit: u64,
    left: u64,
    waiting: u64,
    full: Option<Instant>,
}

impl Room {
    /// Nothing is known yet.
    pub fn new(dialect: Dialect) -> Room {
        Room { shared: dialect == Dialect::Postgres, counted: Mutex::default() }
    }

    /// Takes room for as many of `wanted` as there is; answers how many, and how many wait where that is fewer.
    pub async fn take(&self, conn: &mut AnyConnection, wanted: u64, limit: u64) -> sqlx::Result<(u64, u64)> {
        let known = *self.counted();
        let rests = limit > SMALL && known.full.is_some_and(|at| at.elapsed() < AGAIN);
        if known.limit == limit && (known.left >= wanted || rests) {
            let taken = wanted.min(known.left);
            *self.counted() = Counted { left: known.left - taken, ..known };
            return Ok((taken, known.waiting));
        }
        let waiting = waiting(conn, limit).await?;
        let left = limit.saturating_sub(waiting);
        let taken = wanted.min(left);
        let rest = left - taken;
        // Other nodes take of the same room, so this one counts again half-way.
        let left = if self.shared { rest / 2 } else { rest };
        *self.counted() = Counted { limit, left, waiting, full: (rest == 0).then(Clock::monotonic) };
        Ok((taken, waiting))
    }

    /// Takes room for all of `wanted` or none; if there is too little, returns how many tasks wait.
    pub async fn take_all(&self, conn: &mut AnyConnection, wanted: u64, limit: u64) -> sqlx::Result<Result<(), u64>> {
        let (taken, waiting) = self.take(conn, wanted, limit).await?;
        if taken == wanted {
            return Ok(Ok(()));
        }
        self.counted().left += taken;
        Ok(Err(waiting))
    }

    /// A panic while it was locked leaves whole numbers.
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn waiting(conn: &mut AnyConnection, limit: u64) -> sqlx::Result<u64> {
    let row = sqlx::query(sql::WAITING).bind(row::signed(limit)).fetch_one(conn).await?;
    Ok(row::unsigned(row.try_get("n")?))
}
