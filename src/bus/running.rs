//! Progress of running tasks for the subscribers of all tasks.
//!
//! Each task has one newest snapshot. A subscriber takes those that are newer than what it took last, so it never falls behind and needs
//! no memory of its own. Without subscribers, nothing is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::ChangeEvent;
use crate::task::{State, Task, TaskId};

/// Minimum time between two snapshots of one task.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// Time after a snapshot at which a later report is announced, if no other one follows it.
const QUIET: Duration = Duration::from_millis(700);

/// Interval at which late reports are looked for.
pub(super) const FLUSH: Duration = Duration::from_millis(250);

/// Number of the newest announcement. Subscribers wait for a larger one.
pub(super) type Announcements = watch::Sender<u64>;

/// The running tasks as far as this node knows them.
#[derive(Default)]
pub(super) struct RunningTasks {
    tasks: HashMap<TaskId, RunningTask>,
    announced: BTreeMap<u64, Arc<Task>>,
    last: u64,
    /// True while late reports are looked for.
    flushes: bool,
}

struct RunningTask {
    known: Arc<Task>,
    /// Number of its latest announcement, if there is one.
    number: Option<u64>,
    at: Instant,
    /// True if `known` is newer than what was announced.
    waits: bool,
}

impl RunningTasks {
    /// Observes a change of state, which is sent to all subscribers. Its progress is announced later.
    pub fn observe_state(&mut self, task: &Arc<Task>, now: Instant) {
        if self.tasks.get(&task.id).is_some_and(|running| running.known.version >= task.version) {
            return;
        }
        self.remove(task.id);
        if task.state == State::Running && !task.is_short() {
            let running = RunningTask { known: Arc::clone(task), number: None, at: now, waits: false };
            self.tasks.insert(task.id, running);
        }
    }

    /// Observes what a run reported. Returns true if it is announced now.
    pub fn observe_report(&mut self, task: &Arc<Task>, now: Instant) -> bool {
        match self.tasks.get_mut(&task.id) {
            Some(running) if running.known.version >= task.version => return false,
            Some(running) => {
                running.known = Arc::clone(task);
                running.waits = true;
                if now - running.at < MIN_INTERVAL {
                    return false;
                }
            }
            None => {
                let running = RunningTask { known: Arc::clone(task), number: None, at: now, waits: true };
                self.tasks.insert(task.id, running);
            }
        }
        self.announce(task.id, now);
        true
    }

    /// Returns the task after the report of another node. None if nothing is to be announced. Err if it must be read from the store.
    pub fn follow(&self, event: &ChangeEvent, now: Instant) -> Result<Option<Arc<Task>>, Unknown> {
        let Some(running) = self.tasks.get(&event.id) else { return Err(Unknown) };
        if running.known.version >= event.version {
            return Ok(None);
        }
        match event.report.as_ref().and_then(|report| report.apply(&running.known, event.version)) {
            Some(task) => Ok(Some(Arc::new(task))),
            None if now - running.at < MIN_INTERVAL => Ok(None),
            None => Err(Unknown),
        }
    }

    /// Announces reports that no other report followed. Returns true if there are any.
    pub fn flush(&mut self, now: Instant) -> bool {
        let late = |running: &RunningTask| running.waits && now - running.at >= QUIET;
        let late: Vec<_> = self.tasks.iter().filter(|(_, running)| late(running)).map(|(id, _)| *id).collect();
        late.iter().for_each(|id| self.announce(*id, now));
        !late.is_empty()
    }

    /// Returns the snapshots that were announced after `number`, and the number of the newest one.
    pub fn after(&self, number: u64) -> (Vec<Arc<Task>>, u64) {
        (self.announced.range(number + 1..).map(|(_, task)| Arc::clone(task)).collect(), self.last)
    }

    /// Returns the running tasks, with the versions that are known.
    pub fn versions(&self) -> Vec<(TaskId, i64)> {
        self.tasks.values().map(|running| (running.known.id, running.known.version)).collect()
    }

    /// Returns the number of the newest announcement.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Returns true if the caller must look for late reports from now on: no other caller does yet.
    pub fn begin_flushes(&mut self) -> bool {
        !std::mem::replace(&mut self.flushes, true)
    }

    /// Removes all tasks, after the last subscriber has left.
    pub fn clear(&mut self) {
        *self = RunningTasks { last: self.last, ..RunningTasks::default() };
    }

    fn announce(&mut self, id: TaskId, now: Instant) {
        let Some(running) = self.tasks.get_mut(&id) else { return };
        self.last += 1;
        if let Some(earlier) = running.number.replace(self.last) {
            self.announced.remove(&earlier);
        }
        (running.at, running.waits) = (now, false);
        self.announced.insert(self.last, Arc::clone(&running.known));
    }

    fn remove(&mut self, id: TaskId) {
        if let Some(number) = self.tasks.remove(&id).and_then(|running| running.number) {
            self.announced.remove(&number);
        }
    }
}

/// The task must be read from the store: the node does not know it as it was before the report.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown;

/// Calls `flush` again and again until it returns false.
pub(super) async fn run_flushes(mut flush: impl FnMut() -> bool) {
    let mut ticks = interval(FLUSH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !flush() {
            return;
        }
    }
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
