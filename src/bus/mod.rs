//! Event bus: announces changes of tasks to the subscribers of this node, and receives the changes that other nodes made.
//!
//! An event carries the latest snapshot of a task, or says that one exists. The store remains authoritative: events may be
//! lost, and a [`Received::Gap`] says so.
//!
//! - `watches`: the watchers of single tasks in this process; `broadcast`: the subscribers of all tasks
//! - `follow`: what a node does with the events of other nodes, and after some were lost
//! - [`listener`]: receives the events of other nodes, on an [`EventChannel`]: [`postgres`] or [`redis`]
//! - [`publisher`]: sends the events of this node by Redis; PostgreSQL sends them with the commit
//! - [`progress`]: what a run reports, inside events
//! - [`wire`]: the messages as text

mod broadcast;
mod channel;
mod follow;
mod heartbeat_check;
pub mod listener;
mod lost_since;
pub mod postgres;
pub mod progress;
pub mod publisher;
pub mod redis;
mod running;
mod sent_versions;
mod watches;
pub mod wire;

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::watch;

pub use broadcast::{ChangeSubscription, ChangedTask};
pub use channel::{ChannelError, EventChannel, EventStream};
pub use follow::ChangePosition;

use crate::lock::lock;
use crate::task::{State, Task, TaskChange, TaskId};
use broadcast::Broadcast;
use lost_since::LostSince;
use progress::ReportedProgress;
use publisher::Publisher;
use watches::Watches;

/// A change of a task, as nodes announce it to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEvent {
    /// ID of the task.
    pub id: TaskId,
    /// Version of the task after the change.
    pub version: i64,
    /// True if clients see another state than before.
    pub state_changed: bool,
    /// State after the change.
    pub state: State,
    /// True if a node has claimed the task.
    pub owned: bool,
    /// True for a short task.
    pub short: bool,
    /// Time of the next change that needs no request. None if there is none.
    pub due_at: Option<Timestamp>,
    /// Report of a run, if nothing else changed. None if more changed, or if it is too large to be sent.
    pub report: Option<ReportedProgress>,
}

impl From<&TaskChange> for ChangeEvent {
    fn from(change: &TaskChange) -> ChangeEvent {
        let task = &change.task;
        ChangeEvent {
            id: task.id,
            version: task.version,
            state_changed: change.transition.is_some(),
            state: task.state,
            owned: task.owner.is_some(),
            short: task.is_short(),
            due_at: task.due_at,
            report: ReportedProgress::of(change),
        }
    }
}

/// An event, or notice that events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<E> {
    /// The next event.
    Delivered(E),
    /// Events were lost. Whoever receives this reads from the store whatever it needs to know.
    Gap {
        /// Number of lost events. 0 if it is unknown.
        missed: u64,
        /// Events of changes since then may be lost.
        since: Timestamp,
    },
}

/// Services that the bus needs from its node.
pub trait Node: Send + Sync {
    /// Handles an event of another node.
    fn on_event(&self, event: &ChangeEvent);

    /// Handles the loss of events of other nodes, before the tasks are read again.
    fn on_gap(&self);

    /// Passes the latest snapshot of a task to its run on this node, if there is one.
    fn on_task(&self, task: &Task);

    /// Returns the tasks that this node runs, with their versions as the runs know them.
    fn running(&self) -> Vec<(TaskId, i64)>;

    /// Returns true if this node runs the task.
    fn is_running(&self, id: TaskId) -> bool;

    /// Reads a task from the store. None if it does not exist.
    fn read(&self, id: TaskId) -> impl Future<Output = Result<Option<Arc<Task>>, Unread>> + Send;

    /// Reads those of the tasks that have newer versions.
    fn read_newer(&self, known: Vec<(TaskId, i64)>) -> impl Future<Output = Result<Vec<Arc<Task>>, Unread>> + Send;

    /// Returns the first of the changes after `position`, with the versions of the tasks. Empty if there are no more.
    fn changes_after(
        &self,
        position: ChangePosition,
    ) -> impl Future<Output = Result<Vec<(ChangePosition, i64)>, Unread>> + Send;

    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// The store cannot be read now. Whoever was to read logs why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread;

/// Announces changes to the subscribers of this node. Clones share the subscribers.
#[derive(Clone, Default)]
pub struct Bus {
    watches: Watches,
    broadcast: Broadcast,
    publisher: Arc<OnceLock<Publisher>>,
    /// Changes that this process may have made without knowing it.
    uncertain: Arc<LostSince>,
}

impl Bus {
    /// Sends the events of this node to other nodes from now on. Only the first call has an effect.
    pub fn publish_through(&self, publisher: Publisher) {
        let _ = self.publisher.set(publisher);
    }

    /// Announces a committed change. Subscribers that have a newer snapshot ignore it.
    ///
    /// Called once for each change, after its commit. Without a publisher, PostgreSQL notifies the other nodes within that commit;
    /// see [`postgres`].
    pub fn publish(&self, change: &TaskChange) {
        if let Some(publisher) = self.publisher.get() {
            publisher.publish(ChangeEvent::from(change));
        }
        self.watches.update(&change.task);
        if change.transition.is_some() {
            self.broadcast.send(&change.task);
        } else if change.task.state == State::Running && !change.task.is_short() {
            self.broadcast.report(&change.task);
        }
    }

    /// Announces that tasks may have changed since then without an event: a write failed, and it is unknown if its commit did, or a node
    /// died. All nodes read from the store what they need to know.
    pub fn publish_uncertain(&self, since: Timestamp) {
        if let Some(publisher) = self.publisher.get() {
            publisher.publish_lost(since);
        }
        self.uncertain.note(since);
    }

    /// Subscribes to one task. `known` is the snapshot that the caller read. The caller reads the task again afterwards, so
    /// that no change between the two is lost.
    pub fn watch(&self, known: &Arc<Task>) -> watch::Receiver<Arc<Task>> {
        self.watches.add(known)
    }

    /// Subscribes to all changes of state from now on; and to the progress of all tasks, at most twice a second for each.
    pub fn subscribe(&self, progress: bool) -> ChangeSubscription {
        self.broadcast.subscribe(progress)
    }
}

#[cfg(test)]
mod tests;
