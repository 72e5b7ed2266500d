//! Watchers of single tasks in this process. One snapshot of each change serves all of them.
//!
//! A watcher gets the latest snapshot of its task and may miss those between. A slow watcher does not delay others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{ChangeEvent, lock};
use crate::task::{Task, TaskId};

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

    /// Returns the snapshot that the watchers of the task have. None if it has no watchers.
    fn known(&self, id: TaskId) -> Option<Arc<Task>> {
        lock(&self.0).get(&id).map(|topic| Arc::clone(&topic.borrow()))
    }

    /// Returns the watched tasks, with the versions that their watchers know.
    pub fn versions(&self) -> Vec<(TaskId, i64)> {
        lock(&self.0).iter().map(|(id, topic)| (*id, topic.borrow().version)).collect()
    }
}
