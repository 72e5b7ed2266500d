//! A node whose disk is full leaves tasks that write files to nodes that have space.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::files::Scratch;
use crate::lock::lock;
use crate::spawn::spawn_blocking;

/// A disk with less free space is full, in bytes. After a failed write, a disk is full until it has this much more.
const MIN_SPACE: u64 = 1 << 20;

/// Time after a failed write for which a disk is full without more space. A quota does not show in the free space.
const FULL: Duration = Duration::from_secs(60);

/// Time in which the disk must say how much space is free.
const PATIENCE: Duration = Duration::from_secs(1);

/// The disk of this node's working files, as it was seen last, and if others have space.
#[derive(Default)]
pub(super) struct FullDisk(Mutex<DiskState>);

#[derive(Clone, Copy, Default)]
struct DiskState {
    full: bool,
    others_have_space: bool,
    /// Time of the last failed write, and the free bytes at that time.
    failed: Option<(Instant, u64)>,
}

impl FullDisk {
    /// Records that a write failed because the disk was full.
    pub(super) async fn note_failure(&self, scratch: &Scratch) {
        let free = free_space(scratch).await.unwrap_or(0);
        self.state().failed = Some((Clock::monotonic(), free));
    }

    /// Records how many other nodes could run a task that writes files.
    pub(super) fn note_others(&self, with_space: u64) {
        self.state().others_have_space = with_space > 0;
    }

    /// Checks the disk. Returns true if tasks that write files are left to other nodes.
    pub(super) async fn leaves_to_others(&self, scratch: &Scratch) -> bool {
        let free = free_space(scratch).await;
        let mut state = self.state();
        state.look(free, Clock::monotonic());
        state.full && state.others_have_space
    }

    /// Returns true if the disk was full at the last check.
    pub(super) fn is_full(&self) -> bool {
        self.state().full
    }

    /// The state stays valid if a thread panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, DiskState> {
        lock(&self.0)
    }
}

impl DiskState {
    /// Records the free space. A disk that does not answer is not full.
    fn look(&mut self, free: Option<u64>, now: Instant) {
        let still = |(at, then): (Instant, u64)| {
            now.saturating_duration_since(at) < FULL && free.is_some_and(|free| free < then.saturating_add(MIN_SPACE))
        };
        self.failed = self.failed.filter(|failed| still(*failed));
        self.full = self.failed.is_some() || free.is_some_and(|free| free < MIN_SPACE);
    }
}

/// Returns the free bytes of the disk. None if it does not answer.
async fn free_space(scratch: &Scratch) -> Option<u64> {
    let scratch = scratch.clone();
    let space = spawn_blocking(move || scratch.space());
    let (free, _) = tokio::time::timeout(PATIENCE, space).await.ok()?.ok()?.ok()?;
    Some(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_until_it_has_space_again() {
        let (mut disk, now) = (DiskState::default(), Clock::monotonic());
        let mut is_full = |failed: Option<u64>, free: Option<u64>, after: Duration| {
            disk.failed = failed.map(|then| (now, then)).or(disk.failed);
            disk.look(free, now + after);
            disk.full
        };
        assert!(!is_full(None, Some(MIN_SPACE), Duration::ZERO));
        assert!(is_full(None, Some(MIN_SPACE - 1), Duration::ZERO));
        assert!(!is_full(None, None, Duration::ZERO), "it does not answer");
        let space = 3 * MIN_SPACE;
        assert!(is_full(Some(space), Some(space), Duration::ZERO), "a write failed although there is space");
        assert!(is_full(None, Some(space + MIN_SPACE - 1), FULL / 2));
        assert!(!is_full(None, Some(space + MIN_SPACE), FULL / 2), "files were deleted");
        assert!(is_full(Some(space), Some(space), Duration::ZERO));
        assert!(!is_full(None, Some(space), FULL), "another attempt");
    }
}
