//! Who hears of a change on this node. A hint with the newest snapshot; the truth is the store's.
//!
//! One snapshot per change serves all subscribers. Watchers of one task see its newest state and may miss those in
//! between; a slow one slows nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::task::{Task, TaskId};

/// Changes that a subscriber of all tasks may lag behind before it reads the list anew.
const BACKLOG: usize = 1024;

/// Hands out changes. Clones share one set of subscribers.
#[derive(Clone)]
pub struct Bus {
    watched: Arc<Mutex<HashMap<TaskId, watch::Sender<Arc<Task>>>>>,
    all: broadcast::Sender<Arc<Task>>,
}

impl Default for Bus {
    fn default() -> Bus {
        Bus { watched: Arc::default(), all: broadcast::channel(BACKLOG).0 }
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
        if state_changed {
            // Nobody listening is no failure.
            let _ = self.all.send(Arc::clone(task));
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

    /// Somebody here wants to hear of a change of that task.
    pub fn wants(&self, id: TaskId, state_changed: bool) -> bool {
        self.watched().contains_key(&id) || (state_changed && self.all.receiver_count() > 0)
    }

    /// The tasks that somebody watches.
    pub fn watched_ids(&self) -> Vec<TaskId> {
        self.watched().keys().copied().collect()
    }

    /// Every task at every change of its state. A receiver that lags is told so and goes on with the newest.
    pub fn all(&self) -> broadcast::Receiver<Arc<Task>> {
        self.all.subscribe()
    }

    /// A panic while the map was locked leaves it whole.
    fn watched(&self) -> MutexGuard<'_, HashMap<TaskId, watch::Sender<Arc<Task>>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
