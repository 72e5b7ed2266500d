//! Holding an import to its rows a second.

use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::runner::{Context, Stop};

/// Commits a second that a slowed import still makes, so that its progress is smooth and its pause quick.
const COMMITS_PER_SECOND: f64 = 10.0;

/// Records of a batch at so many rows a second.
pub fn per_commit(rate: f64) -> usize {
    // A float that is too large becomes the largest number; the batch has its own limit.
    (rate / COMMITS_PER_SECOND) as usize
}

/// Holds an import to its rows a second.
pub struct Brake {
    rate: f64,
    from: Instant,
    rows: u64,
}

impl Brake {
    /// From `rows` on, `rate` more a second.
    pub fn new(rate: f64, rows: u64) -> Brake {
        Brake { rate, from: Clock::monotonic(), rows }
    }

    /// Waits until `rows` may have been written.
    ///
    /// # Errors
    /// A stop that was asked for meanwhile.
    pub async fn wait(&mut self, rows: u64, context: &Context) -> Result<(), Stop> {
        let seconds = rows.saturating_sub(self.rows) as f64 / self.rate;
        let Ok(after) = Duration::try_from_secs_f64(seconds) else { return Ok(()) };
        let left = after.saturating_sub(self.from.elapsed());
        tokio::select! {
            stop = context.stopped() => Err(stop),
            () = tokio::time::sleep(left) => Ok(()),
        }
    }
}
