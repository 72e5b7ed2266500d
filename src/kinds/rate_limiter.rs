//! Limits a task to a rate in rows per second.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::runner::Context;
use crate::task::rate_in_force;

/// Commits per second of a limited task: enough for smooth progress and a fast pause.
const COMMITS_PER_SECOND: f64 = 10.0;

/// Limits a task to a rate in rows per second, which a client may change at any time. The caller gives the time.
pub struct RateLimiter {
    limits: RateLimits,
    /// The rate that counts since `begin`.
    rate: Option<f64>,
    begin: Instant,
    rows_before: u64,
}

/// The rate limit of a run, as it is now. Clones follow the same limit.
#[derive(Clone)]
pub struct RateLimits {
    changed: watch::Receiver<Option<f64>>,
    of_spec: Option<f64>,
}

impl RateLimits {
    /// The limits of a run whose spec has the limit `of_spec`.
    pub fn new(context: &Context, of_spec: Option<f64>) -> RateLimits {
        RateLimits { changed: context.rate_limit(), of_spec }
    }

    /// Returns the limit in force. None: unlimited.
    pub fn current(&self) -> Option<f64> {
        rate_in_force(*self.changed.borrow(), self.of_spec)
    }
}

impl RateLimiter {
    /// Allows the rate from `now` on, beyond the `rows` that are written already.
    pub fn new(limits: RateLimits, rows: u64, now: Instant) -> RateLimiter {
        RateLimiter { rate: limits.current(), limits, begin: now, rows_before: rows }
    }

    /// Returns how long to wait at `now` before more than `rows` may be written. A new rate counts from its first call on.
    pub fn delay(&mut self, rows: u64, now: Instant) -> Duration {
        let rate = self.limits.current();
        if rate != self.rate {
            (self.rate, self.begin, self.rows_before) = (rate, now, rows);
        }
        let seconds = self.rate.map_or(0.0, |rate| rows.saturating_sub(self.rows_before) as f64 / rate);
        let allowed = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
        allowed.saturating_sub(now.saturating_duration_since(self.begin))
    }

    /// Returns the limit in force. None: unlimited.
    pub fn rate(&self) -> Option<f64> {
        self.limits.current()
    }

    /// Waits for this time, or until a client changes the limit.
    pub async fn pause(&mut self, delay: Duration) {
        // Without a sender, nothing changes any more.
        let changed = async {
            if self.limits.changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(delay, changed).await;
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

    fn limits(of_spec: f64) -> (watch::Sender<Option<f64>>, RateLimits) {
        let (sender, changed) = watch::channel(None);
        (sender, RateLimits { changed, of_spec: Some(of_spec) })
    }

    #[test]
    fn rows_wait_until_the_rate_allows_them() {
        let begin = Clock::monotonic();
        let mut limiter = RateLimiter::new(limits(100.0).1, 0, begin);
        assert_eq!(limiter.delay(0, begin), Duration::ZERO);
        assert_eq!(limiter.delay(200, begin), 2 * SECOND);
        assert_eq!(limiter.delay(200, begin + SECOND), SECOND);
        assert_eq!(limiter.delay(200, begin + 3 * SECOND), Duration::ZERO);
    }

    #[test]
    fn rows_of_earlier_runs_do_not_count() {
        let begin = Clock::monotonic();
        let mut limiter = RateLimiter::new(limits(0.5).1, 1000, begin);
        assert_eq!(limiter.delay(1000, begin), Duration::ZERO);
        assert_eq!(limiter.delay(1001, begin), 2 * SECOND);
        assert_eq!(limiter.delay(999, begin), Duration::ZERO, "the database refused a row");
    }

    #[test]
    fn a_new_rate_counts_from_its_change_on() {
        let begin = Clock::monotonic();
        let (sender, limits) = limits(0.5);
        let mut limiter = RateLimiter::new(limits, 0, begin);
        assert_eq!(limiter.delay(100, begin), 200 * SECOND);
        sender.send(Some(10.0)).unwrap();
        assert_eq!(limiter.delay(100, begin + SECOND), Duration::ZERO);
        assert_eq!(limiter.delay(120, begin + SECOND), 2 * SECOND);
        sender.send(Some(0.0)).unwrap();
        assert_eq!((limiter.delay(9_999, begin + SECOND), limiter.rate()), (Duration::ZERO, None));
        sender.send(Some(1.0)).unwrap();
        assert_eq!(limiter.delay(10_000, begin + SECOND), Duration::ZERO);
        assert_eq!(limiter.delay(10_003, begin + SECOND), 3 * SECOND);
    }

    #[test]
    fn rates_that_no_duration_expresses_do_not_wait() {
        let begin = Clock::monotonic();
        assert_eq!(RateLimiter::new(limits(0.0).1, 0, begin).delay(1, begin), Duration::ZERO);
        assert_eq!(RateLimiter::new(limits(f64::MAX).1, 0, begin).delay(u64::MAX, begin), Duration::ZERO);
    }

    #[test]
    fn a_limited_task_commits_ten_times_a_second() {
        assert_eq!([0.1, 5.0, 25_000.0].map(rows_per_commit), [1, 1, 2500]);
        assert_eq!(rows_per_commit(f64::INFINITY), u64::MAX);
    }
}
