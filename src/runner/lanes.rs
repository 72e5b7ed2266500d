//! The lanes of short tasks: how many tasks of each are held and at work, so that one that does not get on holds up no other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::store::Choice;

/// Tasks of a lane that may be held beyond those at work: what is taken ahead of its time, and what waits for its turn.
const AHEAD: usize = 256;

/// Tasks that may be held in all, for each that may be at work.
const HELD: usize = 4;

/// What waits for its turn is worked off within that time; a full lane on which nothing has ended for so long is stuck.
const SECOND: Duration = Duration::from_secs(1);

/// A task whose lane is full is put off by no less, and by no more than it is overdue already: so a lane that gets quicker
/// is found out soon, and a task is looked at only so often.
const SOON: Duration = Duration::from_millis(20);
const FIRST: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_secs(30);

/// How many short tasks may be at work at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub all: usize,
    /// In one lane.
    pub each: usize,
}

impl Limits {
    /// Tasks of a lane that may be held beyond those at work.
    fn ahead(self) -> usize {
        AHEAD.min(self.all)
    }
}

/// The lanes of which this node holds tasks.
pub struct Lanes {
    limits: Limits,
    lanes: Mutex<HashMap<String, Lane>>,
    held: AtomicUsize,
    at_work: Arc<Semaphore>,
    freed: Notify,
}

struct Lane {
    held: usize,
    at_work: Arc<Semaphore>,
    /// The time from one end of a task to the next, smoothed, and the last end.
    gap: Duration,
    last: Instant,
    /// Up to when tasks have been put off.
    reserved: Option<Timestamp>,
}

/// What there is room for, as one look at the store finds it.
pub struct Rooms {
    now: Timestamp,
    each: usize,
    lanes: HashMap<String, Room>,
}

struct Room {
    left: usize,
    gap: Duration,
    reserved: Timestamp,
}

/// A short task that this node holds.
pub struct Held {
    lanes: Arc<Lanes>,
    lane: String,
}

/// A short task's turn: it is at work until this is dropped.
pub struct Turn {
    _lane: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Lanes {
    /// No task is held yet.
    pub fn new(limits: Limits) -> Lanes {
        let at_work = Arc::new(Semaphore::new(limits.all));
        Lanes { limits, lanes: Mutex::default(), held: AtomicUsize::new(0), at_work, freed: Notify::new() }
    }

    /// How many more tasks this node may hold in all.
    pub fn room(&self) -> usize {
        (HELD * self.limits.all).saturating_sub(self.held.load(Ordering::Relaxed))
    }

    /// What there is room for.
    pub fn rooms(&self, now: Timestamp) -> Rooms {
        let each = self.limits.each + self.limits.ahead();
        let room = |(name, lane): (&String, &Lane)| (name.clone(), lane.room(&self.limits, now));
        Rooms { now, each, lanes: self.lanes().iter().map(room).collect() }
    }

    /// Keeps in mind what was put off.
    pub fn reserve(&self, rooms: &Rooms) {
        let mut lanes = self.lanes();
        for (name, room) in &rooms.lanes {
            if let Some(lane) = lanes.get_mut(name) {
                lane.reserved = Some(room.reserved);
            }
        }
    }

    /// A task of `lane` is held from now on.
    pub fn hold(self: &Arc<Self>, lane: &str) -> Held {
        let mut lanes = self.lanes();
        let entry = lanes.entry(lane.to_owned()).or_insert_with(|| Lane::new(self.limits.each));
        entry.held += 1;
        self.held.fetch_add(1, Ordering::Relaxed);
        Held { lanes: Arc::clone(self), lane: lane.to_owned() }
    }

    /// Waits until there is room for a task.
    pub async fn until_room(&self) {
        while self.room() == 0 {
            self.freed.notified().await;
        }
    }

    /// A panic while it was locked leaves whole counts.
    fn lanes(&self) -> MutexGuard<'_, HashMap<String, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn new(each: usize) -> Lane {
        let at_work = Arc::new(Semaphore::new(each));
        Lane { held: 0, at_work, gap: Duration::from_millis(1), last: Clock::monotonic(), reserved: None }
    }

    fn room(&self, limits: &Limits, now: Timestamp) -> Room {
        let silence = self.last.elapsed();
        let stuck = self.at_work.available_permits() == 0 && silence > SECOND;
        let gap = if stuck { self.gap.max(silence / 8) } else { self.gap };
        let worth_waiting = SECOND.as_micros() / gap.as_micros().max(1);
        let most = limits.each + limits.ahead().min(usize::try_from(worth_waiting).unwrap_or(AHEAD));
        let worked_off = after(now, gap.saturating_mul(u32::try_from(self.held).unwrap_or(u32::MAX)));
        let reserved = self.reserved.map_or(worked_off, |reserved| reserved.max(worked_off));
        Room { left: most.saturating_sub(self.held), gap, reserved }
    }

    fn ended(&mut self) {
        let gap = self.last.elapsed();
        self.gap = (self.gap * 15 + gap) / 16;
        self.last = Clock::monotonic();
        self.held -= 1;
    }
}

impl Rooms {
    /// Decides if a task of `lane` is taken or deferred. Its attempt became due at `due`.
    pub fn choose(&mut self, lane: &str, due: Timestamp) -> Choice {
        let (now, each) = (self.now, self.each);
        let fresh = || Room { left: each, gap: Duration::from_millis(1), reserved: now };
        let room = self.lanes.entry(lane.to_owned()).or_insert_with(fresh);
        if room.left > 0 {
            room.left -= 1;
            return Choice::Take;
        }
        let overdue = Duration::try_from(due.duration_until(now)).unwrap_or_default();
        let until = room.reserved.max(after(now, SOON)).min(after(now, overdue.clamp(FIRST, LATE)));
        room.reserved = after(until, room.gap);
        Choice::PutOff(until)
    }
}

impl Held {
    /// Waits for the task's turn: first in its lane, then among all, so that a full lane takes nobody's place.
    pub async fn turn(&self) -> Option<Turn> {
        let in_lane = self.lanes.lanes().get(&self.lane).map(|lane| Arc::clone(&lane.at_work))?;
        // Neither is ever closed.
        let lane = in_lane.acquire_owned().await.ok()?;
        let all = Arc::clone(&self.lanes.at_work).acquire_owned().await.ok()?;
        Some(Turn { _lane: lane, _all: all })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lanes.held.fetch_sub(1, Ordering::Relaxed);
        let mut lanes = self.lanes.lanes();
        if let Some(lane) = lanes.get_mut(&self.lane) {
            lane.ended();
            if lane.held == 0 {
                lanes.remove(&self.lane);
            }
        }
        drop(lanes);
        self.lanes.freed.notify_one();
    }
}

fn after(at: Timestamp, time: Duration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { all: 16, each: 4 };

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn a_full_lane_puts_off_its_own_tasks_one_after_the_other_and_no_others() {
        let lanes = Arc::new(Lanes::new(LIMITS));
        let held: Vec<_> = (0..LIMITS.each + LIMITS.ahead()).map(|_| lanes.hold("full")).collect();
        let mut rooms = lanes.rooms(now());
        let put_off = |rooms: &mut Rooms, due: Timestamp| match rooms.choose("full", due) {
            Choice::PutOff(until) => until,
            Choice::Take => panic!("it is full"),
        };
        let (first, second) = (put_off(&mut rooms, now()), put_off(&mut rooms, now()));
        assert!(first >= after(now(), SOON) && second > first && second <= after(now(), FIRST));
        assert_eq!(rooms.choose("other", now()), Choice::Take);
        lanes.reserve(&rooms);
        let third = put_off(&mut lanes.rooms(now()), now());
        assert!(third > second, "the next look goes on behind them");
        let mut later = rooms;
        let last = (0..10_000).map(|_| put_off(&mut later, now())).last();
        assert_eq!(last, Some(after(now(), FIRST)), "whatever the lane's pace promises");
        let overdue = (0..100_000).map(|_| put_off(&mut later, now() - SECOND)).last();
        assert_eq!(overdue, Some(after(now(), SECOND)));
        drop(held);
        assert_eq!(lanes.rooms(now()).choose("full", now()), Choice::Take);
    }

    #[tokio::test]
    async fn turns_are_limited_in_each_lane_and_in_all() {
        let lanes = Arc::new(Lanes::new(LIMITS));
        assert_eq!(lanes.room(), HELD * LIMITS.all);
        let held: Vec<_> = (0..40).map(|n| lanes.hold(&format!("lane {}", n % 8))).collect();
        let mut turns = Vec::new();
        for held in &held {
            let mut turn = Box::pin(held.turn());
            if let std::task::Poll::Ready(turn) = futures_util::poll!(turn.as_mut()) {
                turns.push(turn.unwrap());
            }
        }
        assert_eq!(turns.len(), LIMITS.all, "of eight lanes with four turns each");
        assert_eq!(lanes.room(), HELD * LIMITS.all - held.len());
        drop(turns);
        let all: Vec<_> = held.iter().filter(|held| held.lane == "lane 0").map(|held| held.turn()).collect();
        let mut ready = 0;
        let mut kept = Vec::new();
        for turn in all {
            let mut turn = Box::pin(turn);
            if let std::task::Poll::Ready(turn) = futures_util::poll!(turn.as_mut()) {
                ready += 1;
                kept.push(turn);
            }
        }
        assert_eq!(ready, LIMITS.each, "of the five that are held in that lane");
    }
}
