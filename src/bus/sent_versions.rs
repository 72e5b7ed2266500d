//! Versions that the subscribers of all tasks were sent.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::task::{Task, TaskId};

/// Number of tasks whose sent versions are remembered: those that changed last.
const REMEMBERED: usize = 16 << 10;

/// Maximum number of entries of [`OldestChanges`]: one for each second with a change.
const SECONDS: usize = 3600;

/// Latest versions that were sent to the subscribers of all tasks, of the tasks that changed last.
#[derive(Default)]
pub(super) struct SentVersions {
    versions: HashMap<TaskId, i64>,
    order: VecDeque<(TaskId, i64)>,
    oldest: OldestChanges,
    sent: u64,
}

impl SentVersions {
    /// Returns true if that version or a newer one was sent.
    pub fn contains(&self, id: TaskId, version: i64) -> bool {
        self.versions.get(&id).is_some_and(|sent| *sent >= version)
    }

    /// Notes that the task is sent now. Returns false if its version or a newer one was sent before.
    pub fn note(&mut self, task: &Task) -> bool {
        if self.contains(task.id, task.version) {
            return false;
        }
        self.versions.insert(task.id, task.version);
        self.order.push_back((task.id, task.version));
        if self.order.len() > REMEMBERED
            && let Some((id, version)) = self.order.pop_front()
            && self.versions.get(&id) == Some(&version)
        {
            self.versions.remove(&id);
        }
        self.oldest.note(self.sent, task.updated_at);
        self.sent += 1;
        true
    }

    /// Returns the number of events that were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the time of the oldest change among the events from `position` on. None if there are none.
    pub fn oldest_since(&self, position: u64) -> Option<Timestamp> {
        self.oldest.since(position)
    }
}

/// Finds the oldest change among the latest events, to a second. Events are mostly sent in the order of their changes, but not after
/// some were lost.
#[derive(Default)]
struct OldestChanges(VecDeque<(u64, Timestamp)>);

impl OldestChanges {
    /// Notes that the event at `position`, the next one, is of a change at that time.
    fn note(&mut self, position: u64, changed_at: Timestamp) {
        let second = whole_second(changed_at);
        while self.0.back().is_some_and(|(_, other)| *other >= second) {
            self.0.pop_back();
        }
        self.0.push_back((position, second));
        if self.0.len() > SECONDS
            && let Some((_, first)) = self.0.pop_front()
            && let Some((_, second)) = self.0.front_mut()
        {
            // Events before the first entry are not distinguished.
            *second = first;
        }
    }

    fn since(&self, position: u64) -> Option<Timestamp> {
        self.0.iter().find(|(last, _)| *last >= position).map(|(_, changed_at)| *changed_at)
    }
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::task::{NewTask, Unit};

    #[test]
    fn sent_versions_are_remembered_for_the_tasks_that_changed_last() {
        let (mut sent, clock) = (SentVersions::default(), Clock::test(Timestamp::UNIX_EPOCH));
        for _ in 0..3 * REMEMBERED {
            let new = NewTask::new("import", "{}", Unit::Rows);
            assert!(sent.note(&Task::new(clock.task_id(), new, clock.now())));
        }
        assert_eq!((sent.order.len(), sent.versions.len(), sent.oldest.0.len()), (REMEMBERED, REMEMBERED, 1));
    }

    #[test]
    fn the_oldest_change_among_the_latest_events_is_known() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let (mut oldest, changes) = (OldestChanges::default(), [10, 11, 12, 11, 30, 7, 31, 31, 40]);
        for (position, second) in (0..).zip(changes) {
            oldest.note(position, at(second) + std::time::Duration::from_millis(900));
        }
        for position in 0..changes.len() {
            let wanted = changes[position..].iter().min().map(|second| at(*second));
            assert_eq!(oldest.since(position as u64), wanted, "{position}");
        }
        assert_eq!(oldest.since(9), None);
        for position in 9..20_000 {
            oldest.note(position, at(i64::try_from(position).unwrap() + 100));
        }
        assert_eq!((oldest.0.len(), oldest.since(0)), (SECONDS, Some(at(7))), "older than what is kept");
        assert_eq!(oldest.since(19_000), Some(at(19_100)));
    }
}
