//! Decides what follows a failure: another attempt, with its time, or the end of the task.

use std::time::Duration;

use jiff::Timestamp;

/// Maximum delay before another attempt.
const MAX_DELAY: Duration = Duration::from_secs(3600);

/// Maximum delay while a dependency is unavailable.
const MAX_UNAVAILABLE_DELAY: Duration = Duration::from_secs(30);

/// Way in which a failure is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not at all: another attempt would fail in the same way.
    Never,
    /// After a delay that doubles, until the limit of attempts in the settings is reached.
    Limited,
    /// After a delay that doubles, without limit.
    Unlimited,
    /// Without limit while a dependency is unavailable, after at most 30 seconds.
    UntilAvailable,
    /// The same, because something of this node is full: another node claims the task first.
    Elsewhere,
    /// At this moment. The kind counts the attempts itself.
    At(Timestamp),
}

impl Retry {
    /// Returns true if the task waits for something that is unavailable or full: no attempt failed.
    pub fn is_wait(self) -> bool {
        matches!(self, Retry::UntilAvailable | Retry::Elsewhere)
    }
}

/// Settings of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Delay before the first retry. Doubles with each failure in a row without progress.
    pub backoff: Duration,
    /// Number of failures in a row without progress at which a task fails.
    pub limit: u32,
}

impl RetryPolicy {
    /// Returns the moment of the next attempt after this many failures in a row, or waits if something is unavailable. The last of
    /// them was at `now`. None if there is no other attempt.
    pub fn next_attempt(self, retry: Retry, failures: u32, now: Timestamp) -> Option<Timestamp> {
        let after = |longest: Duration| {
            let doubled = self.backoff.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(20)));
            Some(now.checked_add(doubled.min(longest)).unwrap_or(Timestamp::MAX))
        };
        match retry {
            Retry::Never => None,
            Retry::Limited if failures >= self.limit => None,
            Retry::Limited | Retry::Unlimited => after(MAX_DELAY),
            Retry::UntilAvailable | Retry::Elsewhere => after(MAX_UNAVAILABLE_DELAY),
            Retry::At(moment) => Some(moment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// Seconds until the next attempt. None if there is none.
    fn delay(retry: Retry, failures: u32) -> Option<i64> {
        let policy = RetryPolicy { backoff: Duration::from_secs(2), limit: 3 };
        policy.next_attempt(retry, failures, NOW).map(Timestamp::as_second)
    }

    #[test]
    fn delays_double_up_to_a_maximum() {
        let delays = |retry| [1, 2, 3, 6, 30].map(|failures| delay(retry, failures));
        assert_eq!(delays(Retry::Limited), [Some(2), Some(4), None, None, None]);
        assert_eq!(delays(Retry::Unlimited), [Some(2), Some(4), Some(8), Some(64), Some(3600)]);
        assert_eq!(delays(Retry::UntilAvailable), [Some(2), Some(4), Some(8), Some(30), Some(30)]);
        assert_eq!(delays(Retry::Elsewhere), delays(Retry::UntilAvailable));
        assert_eq!(delays(Retry::Never), [None; 5]);
    }

    #[test]
    fn a_moment_that_the_kind_chose_has_no_limit() {
        let moment = Timestamp::from_second(77).unwrap();
        assert_eq!(delay(Retry::At(moment), 99), Some(77));
    }
}
