//! Work that is repeated beside a computation, such as saving its parts: after an interval, and for a small share of the time.

use std::time::{Duration, Instant};

/// Minimum ratio of the time between two repetitions to the duration of the last one.
const RATIO: u32 = 10;

/// The times of work that is repeated.
pub struct Repetition {
    /// Minimum time between two repetitions.
    interval: Duration,
    /// End of the last repetition, and its duration.
    last: (Instant, Duration),
}

impl Repetition {
    /// Work whose first interval begins at `now`.
    pub fn new(interval: Duration, now: Instant) -> Repetition {
        Repetition { interval, last: (now, Duration::ZERO) }
    }

    /// Returns true if the next repetition may begin at `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        let (end, took) = self.last;
        now.saturating_duration_since(end) >= self.interval.max(took * RATIO)
    }

    /// Records a repetition that began at `begin` and ends at `now`.
    pub fn repeated(&mut self, begin: Instant, now: Instant) {
        self.last = (now, now.saturating_duration_since(begin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn something_is_repeated_after_its_interval_and_for_at_most_a_tenth_of_the_time() {
        let (begin, second) = (Clock::monotonic(), Duration::from_secs(1));
        let mut work = Repetition::new(30 * second, begin);
        assert!(!work.is_due(begin + 29 * second) && work.is_due(begin + 30 * second));
        // One that takes two seconds: the interval decides.
        work.repeated(begin + 30 * second, begin + 32 * second);
        assert!(!work.is_due(begin + 61 * second) && work.is_due(begin + 62 * second));
        // One that takes eight: it would take more than a tenth of the time.
        work.repeated(begin + 62 * second, begin + 70 * second);
        assert!(!work.is_due(begin + 149 * second) && work.is_due(begin + 150 * second));
        assert!(!work.is_due(begin), "a clock that was read before the end");
    }
}
