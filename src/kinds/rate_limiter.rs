//! Limits a task to a rate in rows per second.

use std::time::{Duration, Instant};

/// Commits per second of a limited task: enough for smooth progress and a fast pause.
const COMMITS_PER_SECOND: f64 = 10.0;

/// Limits a task to a rate in rows per second. The caller gives the time.
pub struct RateLimiter {
    rate: f64,
    begin: Instant,
    rows_before: u64,
}

impl RateLimiter {
    /// Allows `rate` rows per second from `now` on, beyond the `rows` that are written already.
    pub fn new(rate: f64, rows: u64, now: Instant) -> RateLimiter {
        RateLimiter { rate, begin: now, rows_before: rows }
    }

    /// Returns how long to wait at `now` before more than `rows` may be written.
    pub fn delay(&self, rows: u64, now: Instant) -> Duration {
        let seconds = rows.saturating_sub(self.rows_before) as f64 / self.rate;
        let allowed = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
        allowed.saturating_sub(now.saturating_duration_since(self.begin))
    }
}

/// Returns the rows of each commit at `rate` rows per second, at least one.
pub fn rows_per_commit(rate: f64) -> u64 {
    // A float that is too large becomes the largest number.
    ((rate / COMMITS_PER_SECOND) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rows_wait_until_the_rate_allows_them() {
        let begin = Clock::monotonic();
        let limiter = RateLimiter::new(100.0, 0, begin);
        assert_eq!(limiter.delay(0, begin), Duration::ZERO);
        assert_eq!(limiter.delay(200, begin), 2 * SECOND);
        assert_eq!(limiter.delay(200, begin + SECOND), SECOND);
        assert_eq!(limiter.delay(200, begin + 3 * SECOND), Duration::ZERO);
    }

    #[test]
    fn rows_of_earlier_runs_do_not_count() {
        let begin = Clock::monotonic();
        let limiter = RateLimiter::new(0.5, 1000, begin);
        assert_eq!(limiter.delay(1000, begin), Duration::ZERO);
        assert_eq!(limiter.delay(1001, begin), 2 * SECOND);
        assert_eq!(limiter.delay(999, begin), Duration::ZERO, "the database refused a row");
    }

    #[test]
    fn rates_that_no_duration_expresses_do_not_wait() {
        let begin = Clock::monotonic();
        assert_eq!(RateLimiter::new(0.0, 0, begin).delay(1, begin), Duration::ZERO);
        assert_eq!(RateLimiter::new(f64::MAX, 0, begin).delay(u64::MAX, begin), Duration::ZERO);
    }

    #[test]
    fn a_limited_task_commits_ten_times_a_second() {
        assert_eq!([0.1, 5.0, 25_000.0].map(rows_per_commit), [1, 1, 2500]);
        assert_eq!(rows_per_commit(f64::INFINITY), u64::MAX);
    }
}
