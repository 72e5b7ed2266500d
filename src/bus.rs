//! Who hears of a change on this node. A hint with the newest snapshot; the truth is the store's.
//!
//! One snapshot per change serves all subscribers. Watchers of one task see its newest state and may miss those in
//! between; a slow one slows nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::task::{Task, TaskId};

/// Changes that a subscriber of all tasks may lag behind before it reads the list anew.
const BACKLOG: usize = 1024;

/// Bytes of texts beyond which a task is not kept for subscribers that are slow: they read it from the store.
const LARGE: usize = 16 << 10;

/// A change of a task's state, as the subscribers of all tasks get it.
#[derive(Clone, Debug)]
pub enum Change {
    /// The task after the change.
    Task(Arc<Task>),
    /// A task that is too large to be kept: read it.
    Large(TaskId),
}

impl Change {
    fn of(task: &Arc<Task>) -> Change {
        if task.text_bytes() > LARGE { Change::Large(task.id) } else { Change::Task(Arc::clone(task)) }
    }
}

/// Hands out changes. Clones share one set of subscribers.
#[derive(Clone)]
pub struct Bus {
    watched: Arc<Mutex<HashMap<TaskId, watch::Sender<Arc<Task>>>>>,
    all: broadcast::Sender<Change>,
    told: Arc<Mutex<Told>>,
}

/// The newest versions that the subscribers of all tasks were told, of the tasks that changed last.
#[derive(Default)]
struct Told {
    versions: HashMap<TaskId, i64>,
    order: VecDeque<(TaskId, i64)>,
}

impl Default for Bus {
    fn default() -> Bus {
        Bus { watched: Arc::default(), all: broadcast::channel(BACKLOG).0, told: Arc::default() }
    }
}

impl Bus {
    /// Tells everybody who watches, unless they know something newer; those who watch all tasks, where its state changed.
    pub fn publish(&self, task: &Arc<Task>, state_changed: bool) {
        let mut watched = self.watched();
        if let Some(topic) = watched.get(&task.id) {
            topic.send_if_modified(|known| {
                let newer = task.version > known.version;
                if newer {
                    *known = Arc::clone(task);
                }
                newer
            });
            if topic.receiver_count() == 0 {
                watched.remove(&task.id);
            }
        }
        drop(watched);
        if state_changed && self.all.receiver_count() > 0 {
            // Sent under the lock, so that nobody is told of it behind something newer.
            let mut told = lock(&self.told);
            if told.note(task) {
                // Nobody listening is no failure.
                let _ = self.all.send(Change::of(task));
            }
        }
    }

    /// The task from now on. `known` is what the caller read; read it again once subscribed, so that no change between
    /// the two is missed.
    pub fn watch(&self, known: &Arc<Task>) -> watch::Receiver<Arc<Task>> {
        let mut watched = self.watched();
        watched.retain(|_, topic| topic.receiver_count() > 0);
        match watched.get(&known.id) {
            Some(topic) => topic.subscribe(),
            None => {
                let (topic, receiver) = watch::channel(Arc::clone(known));
                watched.insert(known.id, topic);
                receiver
            }
        }
    }

    /// Somebody here wants to hear of a change of that task, which another node made.
    pub fn wants(&self, id: TaskId, version: i64, state_changed: bool) -> bool {
        let untold = || self.all.receiver_count() > 0 && !lock(&self.told).knows(id, version);
        self.watched().contains_key(&id) || (state_changed && untold())
    }

    /// The tasks that somebody watches.
    pub fn watched_ids(&self) -> Vec<TaskId> {
        self.watched().keys().copied().collect()
    }

    /// Every task at every change of its state. A receiver that lags is told so and goes on with the newest.
    pub fn all(&self) -> broadcast::Receiver<Change> {
        self.all.subscribe()
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<TaskId, watch::Sender<Arc<Task>>>> {
        lock(&self.watched)
    }
}

impl Told {
    /// That version, or a newer one, was told.
    fn knows(&self, id: TaskId, version: i64) -> bool {
        self.versions.get(&id).is_some_and(|told| *told >= version)
    }

    /// Takes note of what is told now; false where it, or something newer, was told before.
    fn note(&mut self, task: &Task) -> bool {
        if self.knows(task.id, task.version) {
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

/// A panic while it was locked leaves it whole.
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

    #[test]
    fn a_change_that_was_read_before_it_was_told_here_is_told_once_and_nothing_older_behind_it() {
        let (bus, running) = (Bus::default(), task(3, State::Running));
        let mut all = bus.all();
        let at = |version, state| Arc::new(Task { version, state, ..Task::clone(&running) });
        // The word of QUEUED came from another node; what is read is what this node made of it meanwhile.
        assert!(bus.wants(running.id, 1, true));
        bus.publish(&running, true);
        assert!(!bus.wants(running.id, 2, true));
        for version in 1..=3 {
            bus.publish(&at(version, State::Running), true);
        }
        bus.publish(&at(4, State::Completed), true);
        let version = |change| match change {
            Change::Task(task) => task.version,
            Change::Large(_) => 0,
        };
        let told = std::iter::from_fn(|| all.try_recv().ok()).map(version);
        assert_eq!(told.collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_large_task_is_not_kept_for_slow_subscribers() {
        let (bus, running) = (Bus::default(), task(3, State::Running));
        let mut all = bus.all();
        bus.publish(&Arc::new(Task { spec: "x".repeat(LARGE + 1), ..Task::clone(&running) }), true);
        assert!(matches!(all.try_recv(), Ok(Change::Large(id)) if id == running.id));
    }

    #[test]
    fn what_was_told_is_remembered_of_the_tasks_that_changed_last() {
        let mut told = Told::default();
        for version in 1..3 * BACKLOG as i64 {
            assert!(told.note(&task(version, State::Running)));
        }
        assert_eq!((told.order.len(), told.versions.len()), (BACKLOG, BACKLOG));
    }
}
