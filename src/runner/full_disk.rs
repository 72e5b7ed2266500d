//! A node whose disk is full lets other nodes claim tasks first.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time after a failure for which the disk counts as full.
const FULL: Duration = Duration::from_secs(60);

/// Time for which other nodes claim first: longer than they sleep between two claims.
const HEAD_START: Duration = Duration::from_millis(1500);

/// When a run of this node last found the disk full.
#[derive(Default)]
pub(super) struct FullDisk(Mutex<Option<Instant>>);

impl FullDisk {
    /// Records that the disk was full.
    pub(super) fn note(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Returns how long this node waits before it claims tasks.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let noted = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = noted.is_some_and(|at| now.saturating_duration_since(at) < FULL);
        if full { HEAD_START } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn others_claim_first_for_a_while() {
        let (disk, now) = (FullDisk::default(), Clock::monotonic());
        assert_eq!(disk.delay(now), Duration::ZERO);
        disk.note(now);
        assert_eq!(disk.delay(now + FULL / 2), HEAD_START);
        assert_eq!(disk.delay(now + FULL), Duration::ZERO);
    }
}
