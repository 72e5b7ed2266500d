//! Subscribers in this process. One snapshot of each change serves all of them.
//!
//! A watcher of one task gets its latest snapshot and may miss those between. A slow subscriber delays nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::{ChangeEvent, Received};
use crate::task::{Task, TaskId};

/// Maximum number of events that are kept for a slow subscriber of all tasks.
const BACKLOG: usize = 1024;

/// Maximum size of a kept snapshot, in bytes of its texts. Slow subscribers read larger tasks from the store.
const LARGE: usize = 16 << 10;

/// A task after a change of its state, as the subscribers of all tasks get it.
#[derive(Clone, Debug)]
pub enum ChangedTask {
    /// The task.
    Task(Arc<Task>),
    /// ID of a task that is too large to be kept. The subscriber reads it from the store.
    Large(TaskId),
}

impl ChangedTask {
    fn of(task: &Arc<Task>) -> ChangedTask {
        if task.text_bytes() > LARGE { ChangedTask::Large(task.id) } else { ChangedTask::Task(Arc::clone(task)) }
    }
}

/// Watchers of single tasks.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Mutex<HashMap<TaskId, watch::Sender<Arc<Task>>>>>);

impl Watches {
    /// Adds a watcher of the task.
    pub fn add(&self, known: &Arc<Task>) -> watch::Receiver<Arc<Task>> {
        let mut watches = lock(&self.0);
        watches.retain(|_, topic| topic.receiver_count() > 0);
        match watches.get(&known.id) {
            Some(topic) => topic.subscribe(),
            None => {
                let (topic, receiver) = watch::channel(Arc::clone(known));
                watches.insert(known.id, topic);
                receiver
            }
        }
    }

    /// Gives the snapshot to the watchers of its task, unless they have a newer one.
    pub fn update(&self, task: &Arc<Task>) {
        let mut watches = lock(&self.0);
        let Some(topic) = watches.get(&task.id) else { return };
        topic.send_if_modified(|known| {
            let newer = task.version > known.version;
            if newer {
                *known = Arc::clone(task);
            }
            newer
        });
        if topic.receiver_count() == 0 {
            watches.remove(&task.id);
        }
    }

    /// Gives what the event reports to the watchers of its task. Returns true if they need the task itself from the store.
    pub fn follow(&self, event: &ChangeEvent) -> bool {
        let Some(known) = self.known(event.id).filter(|known| known.version < event.version) else { return false };
        let report = event.report.as_ref();
        match report.and_then(|report| report.apply(&known, event.version)) {
            Some(task) => self.update(&Arc::new(task)),
            None => return true,
        }
        false
    }

    /// Returns the snapshot that the watchers of the task have. None if nobody watches it.
    fn known(&self, id: TaskId) -> Option<Arc<Task>> {
        lock(&self.0).get(&id).map(|topic| Arc::clone(&topic.borrow()))
    }

    /// Returns the watched tasks, with the versions that their watchers know.
    pub fn versions(&self) -> Vec<(TaskId, i64)> {
        lock(&self.0).iter().map(|(id, topic)| (*id, topic.borrow().version)).collect()
    }
}

/// Subscribers of all tasks.
#[derive(Clone)]
pub(super) struct Broadcast {
    sender: broadcast::Sender<Received<ChangedTask>>,
    sent: Arc<Mutex<SentVersions>>,
}

impl Default for Broadcast {
    fn default() -> Broadcast {
        Broadcast { sender: broadcast::channel(BACKLOG).0, sent: Arc::default() }
    }
}

impl Broadcast {
    /// Sends the task to all subscribers, unless its version or a newer one was sent before.
    pub fn send(&self, task: &Arc<Task>) {
        if self.sender.receiver_count() > 0 {
            // Sent under the lock, so that no older version follows a newer one.
            let mut sent = lock(&self.sent);
            if sent.note(task) {
                // No subscriber is left: nothing to do.
                let _ = self.sender.send(Received::Delivered(ChangedTask::of(task)));
            }
        }
    }

    /// Tells all subscribers that an unknown number of events was lost.
    pub fn send_gap(&self) {
        let _ = self.sender.send(Received::Gap { missed: 0 });
    }

    /// Returns true if there are subscribers and neither this version of the task nor a newer one was sent.
    pub fn needs(&self, id: TaskId, version: i64) -> bool {
        self.sender.receiver_count() > 0 && !lock(&self.sent).contains(id, version)
    }

    /// Adds a subscriber.
    pub fn subscribe(&self) -> ChangeSubscription {
        ChangeSubscription(self.sender.subscribe())
    }
}

/// Receives the changes of state of all tasks.
pub struct ChangeSubscription(broadcast::Receiver<Received<ChangedTask>>);

impl ChangeSubscription {
    /// Returns the next event, or the notice of lost ones. None if the bus is gone.
    pub async fn next(&mut self) -> Option<Received<ChangedTask>> {
        match self.0.recv().await {
            Ok(received) => Some(received),
            Err(RecvError::Lagged(missed)) => Some(Received::Gap { missed }),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Latest versions that were sent to the subscribers of all tasks, of the tasks that changed last.
#[derive(Default)]
struct SentVersions {
    versions: HashMap<TaskId, i64>,
    order: VecDeque<(TaskId, i64)>,
}

impl SentVersions {
    /// Returns true if that version or a newer one was sent.
    fn contains(&self, id: TaskId, version: i64) -> bool {
        self.versions.get(&id).is_some_and(|sent| *sent >= version)
    }

    /// Notes that the task is sent now. Returns false if its version or a newer one was sent before.
    fn note(&mut self, task: &Task) -> bool {
        if self.contains(task.id, task.version) {
            return false;
        }
        self.versions.insert(task.id, task.version);
        self.order.push_back((task.id, task.version));
        if self.order.len() > BACKLOG
            && let Some((id, version)) = self.order.pop_front()
            && self.versions.get(&id) == Some(&version)
        {
            self.versions.remove(&id);
        }
        true
    }
}

/// Locks a value that stays consistent even if a holder of the lock panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::Clock;
    use crate::task::{NewTask, State, Unit};

    fn task(version: i64, state: State) -> Arc<Task> {
        let clock = Clock::test(Timestamp::UNIX_EPOCH);
        let new = NewTask::new("import", "{}", Unit::Rows);
        Arc::new(Task { version, state, ..Task::new(clock.task_id(), new, clock.now()) })
    }

    #[tokio::test]
    async fn each_version_is_sent_once_and_no_older_one_follows() {
        let (all, running) = (Broadcast::default(), task(3, State::Running));
        let mut subscription = all.subscribe();
        let at = |version, state| Arc::new(Task { version, state, ..Task::clone(&running) });
        // Another node announced version 1. By the time it is read, this node has changed the task twice.
        assert!(all.needs(running.id, 1));
        all.send(&running);
        assert!(!all.needs(running.id, 2));
        for version in 1..=3 {
            all.send(&at(version, State::Running));
        }
        all.send(&at(4, State::Completed));
        drop(all);
        let mut versions = Vec::new();
        while let Some(received) = subscription.next().await {
            let Received::Delivered(ChangedTask::Task(task)) = received else { panic!("{received:?}") };
            versions.push(task.version);
        }
        assert_eq!(versions, [3, 4]);
    }

    #[tokio::test]
    async fn a_large_task_is_not_kept_for_slow_subscribers() {
        let (all, running) = (Broadcast::default(), task(3, State::Running));
        let mut subscription = all.subscribe();
        all.send(&Arc::new(Task { spec: "x".repeat(LARGE + 1), ..Task::clone(&running) }));
        let received = subscription.next().await;
        assert!(matches!(received, Some(Received::Delivered(ChangedTask::Large(id))) if id == running.id));
    }

    #[tokio::test]
    async fn a_slow_subscriber_learns_how_many_events_it_missed() {
        let all = Broadcast::default();
        let mut subscription = all.subscribe();
        for _ in 0..BACKLOG + 5 {
            all.send(&task(1, State::Queued));
        }
        assert!(matches!(subscription.next().await, Some(Received::Gap { missed: 5 })));
    }

    #[test]
    fn sent_versions_are_remembered_for_the_tasks_that_changed_last() {
        let mut sent = SentVersions::default();
        for version in 1..3 * BACKLOG as i64 {
            assert!(sent.note(&task(version, State::Running)));
        }
        assert_eq!((sent.order.len(), sent.versions.len()), (BACKLOG, BACKLOG));
    }
}
