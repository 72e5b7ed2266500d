//! Subscribers of all tasks in this process. One snapshot of each change serves all of them.
//!
//! A slow subscriber does not delay others. It learns since when it missed changes, and reads those from the store.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::running::{self, Announcements, RunningTasks, Unknown};
use super::sent_versions::SentVersions;
use super::{ChangeEvent, Received, lock};
use crate::spawn::spawn;
use crate::task::{State, Task, TaskId};

/// Maximum number of changes that are kept for a slow subscriber of all tasks.
const BACKLOG: usize = 1024;

/// Maximum size of a kept snapshot, in bytes of its texts. Slow subscribers read larger tasks from the store.
const LARGE: usize = 16 << 10;

/// A task after a change of its state, as the subscribers of all tasks get it.
#[derive(Clone, Debug)]
pub enum ChangedTask {
    /// The task.
    Task(Arc<Task>),
    /// ID and version of a task that is too large to be kept. The subscriber reads it from the store.
    Large(TaskId, i64),
}

impl ChangedTask {
    fn of(task: &Arc<Task>) -> ChangedTask {
        match task.text_bytes() > LARGE {
            true => ChangedTask::Large(task.id, task.version),
            false => ChangedTask::Task(Arc::clone(task)),
        }
    }

    /// Returns the ID and the version of the task.
    pub fn version(&self) -> (TaskId, i64) {
        match self {
            ChangedTask::Task(task) => (task.id, task.version),
            ChangedTask::Large(id, version) => (*id, *version),
        }
    }
}

/// Subscribers of all tasks.
#[derive(Clone)]
pub(super) struct Broadcast {
    changes: broadcast::Sender<ChangedTask>,
    sent: Arc<Mutex<SentVersions>>,
    running: Arc<Mutex<RunningTasks>>,
    announcements: Announcements,
}

impl Default for Broadcast {
    fn default() -> Broadcast {
        Broadcast {
            changes: broadcast::channel(BACKLOG).0,
            sent: Arc::default(),
            running: Arc::default(),
            announcements: Announcements::new(0),
        }
    }
}

impl Broadcast {
    /// Sends the task to all subscribers, unless its version or a newer one was sent before.
    pub fn send(&self, task: &Arc<Task>) {
        if self.changes.receiver_count() > 0 {
            // Sent under the lock, so that no older version follows a newer one.
            let mut sent = lock(&self.sent);
            if sent.note(task) {
                if self.wants_progress() {
                    lock(&self.running).observe_state(task, Instant::now());
                }
                // No subscriber is left: nothing to do.
                let _ = self.changes.send(ChangedTask::of(task));
            }
        }
    }

    /// Gives what a run reported to those subscribers that want progress, unless they were sent a newer version.
    pub fn report(&self, task: &Arc<Task>) {
        if !self.wants_progress() {
            return;
        }
        let sent = lock(&self.sent);
        if !sent.contains(task.id, task.version) {
            let mut running = lock(&self.running);
            if running.observe_report(task, Instant::now()) {
                self.announcements.send_replace(running.last());
            }
        }
    }

    /// Gives the report of another node to the subscribers that want progress. Returns true if they need the task from the store.
    pub fn follow(&self, event: &ChangeEvent) -> bool {
        if event.state != State::Running || event.short || !self.wants_progress() {
            return false;
        }
        let followed = lock(&self.running).follow(event, Instant::now());
        match followed {
            Ok(task) => task.iter().for_each(|task| self.report(task)),
            Err(Unknown) => return true,
        }
        false
    }

    /// Returns the running tasks of which subscribers want progress, with the versions that are known.
    pub fn running(&self) -> Vec<(TaskId, i64)> {
        lock(&self.running).versions()
    }

    /// Returns true if there are subscribers.
    pub fn is_subscribed(&self) -> bool {
        self.changes.receiver_count() > 0
    }

    fn wants_progress(&self) -> bool {
        self.announcements.receiver_count() > 0
    }

    /// Returns true if there are subscribers and neither this version of the task nor a newer one was sent.
    pub fn needs(&self, id: TaskId, version: i64) -> bool {
        self.is_subscribed() && !lock(&self.sent).contains(id, version)
    }

    /// Adds a subscriber, of progress too if it wants that.
    pub fn subscribe(&self, progress: bool) -> ChangeSubscription {
        let progress = progress.then(|| self.subscribe_to_progress());
        // Under the lock, so that the position is that of the next event.
        let sent = lock(&self.sent);
        let (changes, position) = (self.changes.subscribe(), sent.sent());
        drop(sent);
        ChangeSubscription { changes, position, sent: Arc::clone(&self.sent), progress }
    }

    fn subscribe_to_progress(&self) -> ProgressSubscription {
        let mut running = lock(&self.running);
        let (announcements, taken) = (self.announcements.subscribe(), running.last());
        if running.begin_flushes() {
            let all = self.clone();
            spawn(running::run_flushes(move || all.flush()));
        }
        ProgressSubscription { running: Arc::clone(&self.running), announcements, taken, waiting: Vec::new() }
    }

    /// Announces late reports. Returns false if no subscriber receives progress any more.
    fn flush(&self) -> bool {
        let mut running = lock(&self.running);
        if !self.wants_progress() {
            running.clear();
            return false;
        }
        if running.flush(Instant::now()) {
            self.announcements.send_replace(running.last());
        }
        true
    }
}

/// Receives the changes of all tasks.
pub struct ChangeSubscription {
    changes: broadcast::Receiver<ChangedTask>,
    /// Number of changes that were sent before the next one.
    position: u64,
    sent: Arc<Mutex<SentVersions>>,
    progress: Option<ProgressSubscription>,
}

/// Receives the progress of all tasks.
struct ProgressSubscription {
    running: Arc<Mutex<RunningTasks>>,
    announcements: watch::Receiver<u64>,
    taken: u64,
    waiting: Vec<Arc<Task>>,
}

impl ChangeSubscription {
    /// Returns the next change, or the notice of lost ones. None if the bus is gone.
    pub async fn next(&mut self) -> Option<Received<ChangedTask>> {
        let received = match &mut self.progress {
            None => self.changes.recv().await,
            // A change of state is sent before the progress that follows it.
            Some(progress) => tokio::select! {
                biased;
                received = self.changes.recv() => received,
                task = progress.next() => return task.map(|task| Received::Delivered(ChangedTask::Task(task))),
            },
        };
        match received {
            Ok(changed) => {
                self.position += 1;
                self.progress.iter_mut().for_each(|progress| progress.drop_older(&changed));
                Some(Received::Delivered(changed))
            }
            Err(RecvError::Lagged(_)) => Some(self.skip()),
            Err(RecvError::Closed) => None,
        }
    }

    /// Continues with the changes that are sent from now on. Those before them are lost.
    fn skip(&mut self) -> Received<ChangedTask> {
        let sent = lock(&self.sent);
        let (missed, since) = (sent.sent() - self.position, sent.oldest_since(self.position));
        (self.changes, self.position) = (self.changes.resubscribe(), sent.sent());
        Received::Gap { missed, since: since.unwrap_or(Timestamp::MAX) }
    }
}

impl ProgressSubscription {
    /// Returns the next snapshot. None if the bus is gone. May be dropped without losing one.
    async fn next(&mut self) -> Option<Arc<Task>> {
        while self.waiting.is_empty() {
            self.announcements.changed().await.ok()?;
            (self.waiting, self.taken) = lock(&self.running).after(self.taken);
        }
        self.waiting.pop()
    }

    /// Drops a snapshot of the task that is older than its change.
    fn drop_older(&mut self, changed: &ChangedTask) {
        let (id, version) = changed.version();
        self.waiting.retain(|task| task.id != id || task.version > version);
    }
}

#[cfg(test)]
#[path = "broadcast_tests.rs"]
mod tests;
