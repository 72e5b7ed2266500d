//! Checks that a connection returns the heartbeats that the node sends on it.

use std::time::Duration;

use tokio::time::Instant;

/// Time after which a connection that has not returned a beat is closed.
pub const SILENCE: Duration = Duration::from_secs(3);

/// Time after which a beat that has not returned is late: the connection may deliver nothing.
const LATE: Duration = Duration::from_secs(1);

/// The beats of a node on one connection.
#[derive(Default)]
pub struct HeartbeatCheck {
    /// Time of the oldest beat that has not returned.
    unreturned: Option<Instant>,
}

impl HeartbeatCheck {
    /// Records that a beat was sent.
    pub fn sent(&mut self, at: Instant) {
        self.unreturned.get_or_insert(at);
    }

    /// Records that a beat returned.
    pub fn came_back(&mut self) {
        self.unreturned = None;
    }

    /// Returns true if a beat is late.
    pub fn is_late(&self, now: Instant) -> bool {
        self.unreturned.is_some_and(|sent| now - sent >= LATE)
    }

    /// Returns true if no beat has returned for too long.
    pub fn is_lost(&self, now: Instant) -> bool {
        self.unreturned.is_some_and(|sent| now - sent >= SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_lost_three_seconds_after_the_first_beat_that_did_not_come_back() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut check = HeartbeatCheck::default();
        assert!(!check.is_lost(at(100)), "nothing was sent");
        check.sent(at(100));
        check.came_back();
        assert!(!check.is_lost(at(200)), "a node that was busy has sent nothing meanwhile");
        (200..203).for_each(|second| check.sent(at(second)));
        assert!(!check.is_late(at(200)) && check.is_late(at(201)));
        assert!(!check.is_lost(at(202)));
        assert!(check.is_lost(at(203)));
        check.came_back();
        assert!(!check.is_lost(at(203)) && !check.is_late(at(203)));
    }
}
