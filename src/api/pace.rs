//! Pace of the updates of one task to one subscriber.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum time between two updates, on average.
const INTERVAL: Duration = Duration::from_millis(100);

/// Time by which an update may come earlier than that. Runs report at the same interval, so without it each delay of one update would
/// delay all that follow.
const EARLY: Duration = Duration::from_millis(60);

/// Pace of the updates to one subscriber: ten a second on average.
#[derive(Default)]
pub struct Pace {
    /// Time of the next update, if each came [`INTERVAL`] after the one before. None before the first.
    next: Option<Instant>,
}

impl Pace {
    /// Returns the earliest time of the next update. None if it may be sent at once.
    pub fn earliest(&self) -> Option<Instant> {
        self.next.map(|next| next - EARLY)
    }

    /// Records that an update is sent.
    pub fn sent(&mut self, now: Instant) {
        self.next = Some(self.next.map_or(now, |next| next.max(now)) + INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the milliseconds at which updates are sent that are made at these.
    fn sent(made: impl IntoIterator<Item = u64>) -> Vec<u128> {
        let (begin, mut pace) = (Instant::now(), Pace::default());
        let send = |made| {
            let made = begin + Duration::from_millis(made);
            let at = pace.earliest().map_or(made, |earliest| earliest.max(made));
            pace.sent(at);
            (at - begin).as_millis()
        };
        made.into_iter().map(send).collect()
    }

    #[test]
    fn a_late_update_does_not_delay_those_that_follow() {
        assert_eq!(sent([0, 100, 250, 300, 400, 500]), [0, 100, 250, 300, 400, 500]);
        assert_eq!(sent([0, 10, 300]), [0, 40, 300]);
    }

    #[test]
    fn ten_updates_are_sent_a_second() {
        let sent = sent((0..1000).map(|n| n * 10));
        assert_eq!(sent[..4], [0, 40, 140, 240]);
        assert_eq!(sent[100], 9940);
    }
}
