//! The buckets of this node.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use crate::lock::lock;

/// Number of buckets up to which full ones are kept.
const KEPT: usize = 1024;

/// The buckets of all callers of this node. Full ones are forgotten.
pub struct Counter {
    bucket: Bucket,
    begin: Instant,
    callers: Mutex<Callers>,
}

#[derive(Default)]
struct Callers {
    /// Time at which the bucket of a caller is full.
    full: HashMap<IpAddr, Duration>,
    /// Number of buckets at which full ones are removed.
    crowded: usize,
}

impl Counter {
    /// Returns a counter without callers.
    pub fn new(bucket: Bucket, now: Instant) -> Counter {
        Counter { bucket, begin: now, callers: Mutex::new(Callers { full: HashMap::new(), crowded: KEPT }) }
    }

    /// Counts a request. Returns the time to wait, or zero if it is admitted.
    pub fn take(&self, caller: IpAddr, now: Instant) -> Duration {
        let now = now.saturating_duration_since(self.begin);
        let mut callers = lock(&self.callers);
        let full = callers.full.get(&caller).copied().unwrap_or_default();
        match self.bucket.take(full, now) {
            Ok(after) => {
                callers.full.insert(caller, after);
                callers.remove_full(now);
                Duration::ZERO
            }
            Err(wait) => wait,
        }
    }
}

impl Callers {
    /// Removes full buckets once there are many: a new one is full as well.
    fn remove_full(&mut self, now: Duration) {
        if self.full.len() > self.crowded {
            self.full.retain(|_, full| *full > now);
            self.crowded = KEPT.max(2 * self.full.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::RequestRate;

    #[test]
    fn each_caller_has_a_bucket_and_full_ones_are_forgotten() {
        let now = Clock::monotonic();
        let counter = Counter::new(Bucket::of(RequestRate { per_second: 1, burst: 2 }), now);
        let caller = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..10_000 {
            let later = now + Duration::from_millis(u64::from(n));
            let waits = [(), (), ()].map(|()| counter.take(caller(n), later));
            assert_eq!(waits, [Duration::ZERO, Duration::ZERO, Duration::from_secs(1)]);
        }
        let kept = counter.callers.lock().unwrap().full.len();
        assert!(kept < 8_000, "those of the last two seconds are in use: {kept}");
        let first = caller(9_999);
        assert_eq!(counter.take(first, now + Duration::from_millis(9_999)), Duration::from_secs(1), "not forgotten");
    }
}
