//! The rule by which requests are counted: a bucket for each caller that fills at the rate and holds a burst.
//!
//! A bucket is one moment: the one at which it is full again. Each request moves it by the interval of the rate.

use std::time::Duration;

use crate::config::RequestRate;

/// The rule of all buckets.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Time that one request takes at the rate.
    pub interval: Duration,
    /// Time that the requests of a burst take at the rate.
    pub allowance: Duration,
}

impl Bucket {
    /// Returns the rule of a rate.
    pub fn of(rate: RequestRate) -> Bucket {
        let interval = Duration::from_secs(1) / rate.per_second;
        Bucket { interval, allowance: interval * rate.burst }
    }

    /// Counts a request at `now` in a bucket that is full at `full`. Both are times since one moment. Returns when it is full after that.
    ///
    /// # Errors
    /// The time after which the request is admitted.
    pub fn take(self, full: Duration, now: Duration) -> Result<Duration, Duration> {
        let after = full.max(now) + self.interval;
        match after.saturating_sub(now + self.allowance) {
            Duration::ZERO => Ok(after),
            early => Err(early),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_admitted_at_once_and_then_one_request_for_each_interval() {
        let bucket = Bucket::of(RequestRate { per_second: 10, burst: 3 });
        let at = Duration::from_millis;
        let mut full = Duration::ZERO;
        for (now, expected) in [
            (1000, Ok(1100)),
            (1000, Ok(1200)),
            (1000, Ok(1300)),
            (1000, Err(100)),
            (1099, Err(1)),
            (1100, Ok(1400)),
            (1100, Err(100)),
            // An hour of rest fills the bucket, not more.
            (3_600_000, Ok(3_600_100)),
            (3_600_000, Ok(3_600_200)),
            (3_600_000, Ok(3_600_300)),
            (3_600_000, Err(100)),
        ] {
            let taken = bucket.take(full, at(now));
            assert_eq!(taken, expected.map(at).map_err(at), "at {now}");
            full = taken.unwrap_or(full);
        }
    }

    #[test]
    fn every_rate_of_the_settings_has_a_rule() {
        for rate in [1, 7, 1_000_000] {
            let bucket = Bucket::of(RequestRate { per_second: rate, burst: 1 });
            assert!(bucket.interval > Duration::ZERO);
            let full = bucket.take(Duration::ZERO, Duration::ZERO).unwrap();
            assert_eq!(bucket.take(full, Duration::ZERO), Err(bucket.interval));
        }
    }
}
