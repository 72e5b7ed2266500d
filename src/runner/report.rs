//! Progress that a run reports, and when it is written to the task store.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::kind::{Failure, StopReason};
use crate::spawn::spawn;
use crate::store::{Durability, LastReport};
use crate::task::Progress;

/// Time between two writes of progress. The last progress is always written.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);

/// A write comes sooner when this part of the total was done since the last one, but not sooner than the minimum.
const PARTS: u64 = 32;
const MIN_WRITE_INTERVAL: Duration = Duration::from_millis(10);

/// Maximum time between two writes that survive a power loss.
const SYNC_INTERVAL: Duration = Duration::from_secs(10);

/// Progress of a run, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Current phase, in a word or two.
    pub phase: &'static str,
    /// Committed amount, in the unit of the plan.
    pub done: u64,
    /// Total amount, if it is known or can be estimated.
    pub total: Option<u64>,
}

/// Latest checkpoint of a run, which may not be in the task store yet.
pub struct LatestCheckpoint {
    checkpoint: LastReport,
    /// Start of the last write, and the amount done then. At first: the start of the run, and the amount done before.
    written: (Instant, u64),
    /// Start of the last write that survives a power loss.
    synced: Instant,
}

impl LatestCheckpoint {
    /// No checkpoint, of a run that begins `now`, after `done` was done. A run that ends soon needs no write but that of its end.
    pub fn new(now: Instant, done: u64) -> LatestCheckpoint {
        LatestCheckpoint { checkpoint: None, written: (now, done), synced: now }
    }

    /// Returns the checkpoint.
    pub fn get(&self) -> &LastReport {
        &self.checkpoint
    }

    /// Sets the checkpoint.
    pub fn set(&mut self, cursor: String, progress: Progress) {
        self.checkpoint = Some((Some(cursor), progress));
    }

    /// Removes the checkpoint, which the task store cannot hold.
    pub fn discard(&mut self) {
        self.checkpoint = None;
    }

    /// Returns the durability of the next write, if it is due.
    pub fn write_due(&self, now: Instant) -> Option<Durability> {
        let (_, progress) = self.checkpoint.as_ref()?;
        let (at, before) = self.written;
        let gained = progress.done.saturating_sub(before).saturating_mul(PARTS);
        let part = progress.total.is_some_and(|total| gained >= total);
        let due = now - at >= if part { MIN_WRITE_INTERVAL } else { WRITE_INTERVAL };
        let synced = now - self.synced < SYNC_INTERVAL;
        due.then_some(if synced { Durability::Deferred } else { Durability::Immediate })
    }

    /// Records that a write begins.
    pub fn begin_write(&mut self, durability: Durability, now: Instant) {
        if let Some((_, progress)) = &self.checkpoint {
            self.written = (now, progress.done);
        }
        if durability == Durability::Immediate {
            self.synced = now;
        }
    }
}

/// Write of a checkpoint to the task store, in the background of the run.
#[derive(Default)]
pub struct CheckpointWrite(Option<JoinHandle<Result<(), StopReason>>>);

impl CheckpointWrite {
    /// Begins a write. The one before it must have ended.
    pub fn begin(&mut self, write: impl Future<Output = Result<(), StopReason>> + Send + 'static) {
        self.0 = Some(spawn(write));
    }

    /// Returns true if a write has ended and its result was not read yet.
    pub fn has_ended(&self) -> bool {
        self.0.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Waits until the write has ended.
    pub async fn end(&mut self) -> Result<(), StopReason> {
        let Some(write) = &mut self.0 else { return Ok(()) };
        let result = write.await;
        self.0 = None;
        result.unwrap_or_else(|error| Err(Failure::internal(format!("A write of progress failed: {error}.")).into()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::Clock;
    use crate::task::Unit;

    fn progress(done: u64) -> Progress {
        let active = Duration::ZERO;
        let (phase, updated_at) = ("loading".to_owned(), Timestamp::UNIX_EPOCH);
        Progress { phase, unit: Unit::Rows, done, total: Some(320), active, updated_at }
    }

    /// Returns the milliseconds at which a run writes that takes `row` for each row.
    fn written(row: Duration) -> Vec<u128> {
        let begin = Clock::monotonic();
        let mut latest = LatestCheckpoint::new(begin, 0);
        let moments = (0..=320).map(|done| (done, row * u32::try_from(done).unwrap()));
        let written = moments.filter_map(|(done, at)| {
            latest.set(String::new(), progress(done));
            let durability = latest.write_due(begin + at)?;
            latest.begin_write(durability, begin + at);
            Some(at.as_millis())
        });
        written.collect()
    }

    #[test]
    fn progress_is_written_ten_times_a_second_and_for_each_32nd_of_the_total() {
        assert_eq!(written(Duration::from_millis(50))[..4], [100, 200, 300, 400]);
        assert_eq!(written(Duration::from_millis(2))[..4], [20, 40, 60, 80]);
        assert_eq!(written(Duration::from_micros(500))[..4], [10, 20, 30, 40]);
    }

    #[test]
    fn progress_is_synced_to_disk_every_ten_seconds() {
        let begin = Clock::monotonic();
        let mut latest = LatestCheckpoint::new(begin, 0);
        latest.set(String::new(), progress(0));
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(latest.write_due(at(9)), Some(Durability::Deferred));
        assert_eq!(latest.write_due(at(10)), Some(Durability::Immediate));
        latest.begin_write(Durability::Immediate, at(10));
        assert_eq!(latest.write_due(at(19)), Some(Durability::Deferred));
    }
}
