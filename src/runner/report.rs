//! What a run says of its progress, and when that is written to the task store.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::kind::{Failure, Stop};
use crate::store::{Durability, Last};
use crate::task::Progress;

/// Progress is written so often; the last one always.
const EVERY: Duration = Duration::from_millis(100);

/// Before that, each time that so large a part of the whole was done: quick runs are followed too. Not more often than that.
const PARTS: u64 = 32;
const AT_MOST: Duration = Duration::from_millis(10);

/// What a run reports outlives a power loss at least this often.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// How far a run came, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it is doing, in a word or two.
    pub phase: &'static str,
    /// What is committed, in the unit of the kind's plan.
    pub done: u64,
    /// The whole, where it is known or can be estimated.
    pub total: Option<u64>,
}

/// What is committed but perhaps not yet written to the task store.
pub struct Latest {
    said: Last,
    /// When the last write of it began, and what was done then.
    written: Option<(Instant, u64)>,
    /// When the last one began that is on disk, not just written.
    kept: Instant,
}

impl Latest {
    /// Nothing, by a run that begins `now`.
    pub fn new(now: Instant) -> Latest {
        Latest { said: None, written: None, kept: now }
    }

    /// What is committed and was last said of it.
    pub fn last(&self) -> &Last {
        &self.said
    }

    /// That much is committed.
    pub fn say(&mut self, cursor: String, progress: Progress) {
        self.said = Some((Some(cursor), progress));
    }

    /// How it is to be written, if it is time to.
    pub fn due(&self, now: Instant) -> Option<Durability> {
        let (_, progress) = self.said.as_ref()?;
        let due = self.written.is_none_or(|(at, before)| {
            let gained = progress.done.saturating_sub(before).saturating_mul(PARTS);
            let part = progress.total.is_some_and(|total| gained >= total);
            now - at >= if part { AT_MOST } else { EVERY }
        });
        let kept = now - self.kept < KEEP_EVERY;
        due.then_some(if kept { Durability::Deferred } else { Durability::Immediate })
    }

    /// A write of it begins.
    pub fn begin(&mut self, durable: Durability, now: Instant) {
        self.written = self.said.as_ref().map(|(_, progress)| (now, progress.done));
        if durable == Durability::Immediate {
            self.kept = now;
        }
    }
}

/// A write to the task store beside the run, which goes on meanwhile.
#[derive(Default)]
pub struct Writing(Option<JoinHandle<Result<(), Stop>>>);

impl Writing {
    /// Begins, once the one before it has ended.
    pub fn begin(&mut self, write: impl Future<Output = Result<(), Stop>> + Send + 'static) {
        self.0 = Some(tokio::spawn(write));
    }

    /// It has ended, and how was not looked at.
    pub fn has_ended(&self) -> bool {
        self.0.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Waits until it has ended.
    pub async fn end(&mut self) -> Result<(), Stop> {
        let Some(writing) = &mut self.0 else { return Ok(()) };
        let ended = writing.await;
        self.0 = None;
        ended.unwrap_or_else(|error| Err(Failure::internal(format!("a write of progress: {error}")).into()))
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

    /// The milliseconds at which it is written, by a run that does a row in so long.
    fn written(row: Duration) -> Vec<u128> {
        let begin = Clock::monotonic();
        let mut latest = Latest::new(begin);
        let moments = (0..=320).map(|done| (done, row * u32::try_from(done).unwrap()));
        let written = moments.filter_map(|(done, at)| {
            latest.say(String::new(), progress(done));
            let durable = latest.due(begin + at)?;
            latest.begin(durable, begin + at);
            Some(at.as_millis())
        });
        written.collect()
    }

    #[test]
    fn progress_is_written_ten_times_a_second_and_for_each_32nd_of_the_whole() {
        assert_eq!(written(Duration::from_millis(50))[..5], [0, 100, 200, 300, 400]);
        assert_eq!(written(Duration::from_millis(2))[..5], [0, 20, 40, 60, 80]);
        assert_eq!(written(Duration::from_micros(500))[..5], [0, 10, 20, 30, 40]);
    }

    #[test]
    fn it_is_on_disk_every_ten_seconds() {
        let begin = Clock::monotonic();
        let mut latest = Latest::new(begin);
        latest.say(String::new(), progress(0));
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(latest.due(at(9)), Some(Durability::Deferred));
        assert_eq!(latest.due(at(10)), Some(Durability::Immediate));
        latest.begin(Durability::Immediate, at(10));
        assert_eq!(latest.due(at(19)), Some(Durability::Deferred));
    }
}
