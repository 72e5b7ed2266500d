//! Event bus: announces changes of tasks to the subscribers of this node, and receives the changes that other nodes made.
//!
//! An event carries the latest snapshot of a task, or says that one exists. The store remains authoritative: events may be
//! lost, and a [`Received::Gap`] says so.
//!
//! - `local`: the subscribers of this process
//! - [`listener`]: hears the events of other nodes, on an [`EventChannel`]: [`postgres`] or [`redis`]
//! - [`publisher`]: sends the events of this node by Redis; PostgreSQL sends them with the commit
//! - [`progress`]: what a run reports, inside events
//! - [`wire`]: the messages as text

mod channel;
pub mod listener;
mod local;
pub mod postgres;
pub mod progress;
pub mod publisher;
mod pulse;
pub mod redis;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

pub use channel::{ChannelError, EventChannel, EventStream};
pub use local::{ChangeSubscription, ChangedTask};

use crate::task::{State, Task, TaskChange, TaskId};
use local::{Broadcast, Watches};
use progress::ReportedProgress;
use publisher::Publisher;

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
    /// Next moment at which the task changes by itself. None if there is none.
    pub due_at: Option<Timestamp>,
    /// What a run reported, if nothing else changed. None if more changed, or if it is too large to be sent.
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
    },
}

/// What the bus needs of the node that it serves.
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

    /// Reads a task from the store. None if it does not exist or cannot be read now.
    fn read(&self, id: TaskId) -> impl Future<Output = Option<Arc<Task>>> + Send;

    /// Reads those of the tasks that have newer versions. Empty if they cannot be read now.
    fn read_newer(&self, known: Vec<(TaskId, i64)>) -> impl Future<Output = Vec<Arc<Task>>> + Send;
}

/// Announces changes to the subscribers of this node. Clones share the subscribers.
#[derive(Clone, Default)]
pub struct Bus {
    watches: Watches,
    broadcast: Broadcast,
    publisher: Arc<OnceLock<Publisher>>,
}

impl Bus {
    /// Sends the events of this node to other nodes from now on. Only the first call has an effect.
    pub fn publish_through(&self, publisher: Publisher) {
        let _ = self.publisher.set(publisher);
    }

    /// Announces a committed change. Subscribers that have a newer snapshot ignore it.
    ///
    /// Called once for each change, after its commit. Without a publisher, PostgreSQL tells the other nodes within that commit;
    /// see [`postgres`].
    pub fn publish(&self, change: &TaskChange) {
        if let Some(publisher) = self.publisher.get() {
            publisher.publish(ChangeEvent::from(change));
        }
        self.watches.update(&change.task);
        if change.transition.is_some() {
            self.broadcast.send(&change.task);
        }
    }

    /// Subscribes to one task. `known` is the snapshot that the caller read. The caller reads the task again afterwards, so
    /// that no change between the two is lost.
    pub fn watch(&self, known: &Arc<Task>) -> watch::Receiver<Arc<Task>> {
        self.watches.add(known)
    }

    /// Subscribes to all changes of state from now on.
    pub fn subscribe(&self) -> ChangeSubscription {
        self.broadcast.subscribe()
    }

    /// Handles the events of other nodes until their sender is dropped. A task is read only if somebody here needs more of it
    /// than the event has, and once for all of them.
    pub async fn follow(&self, mut events: mpsc::Receiver<Received<ChangeEvent>>, node: impl Node) {
        while let Some(received) = events.recv().await {
            match received {
                Received::Delivered(event) => self.receive(&event, &node).await,
                Received::Gap { .. } => self.recover(&node).await,
            }
        }
    }

    async fn receive(&self, event: &ChangeEvent, node: &impl Node) {
        node.on_event(event);
        let unknown = self.watches.follow(event);
        let wanted = node.is_running(event.id)
            || unknown
            || (event.state_changed && self.broadcast.needs(event.id, event.version));
        if wanted && let Some(task) = node.read(event.id).await {
            node.on_task(&task);
            self.watches.update(&task);
            if event.state_changed {
                self.broadcast.send(&task);
            }
        }
    }

    /// Handles a gap: reads the tasks that are watched or run on this node, if they changed, and tells the subscribers of all
    /// tasks.
    async fn recover(&self, node: &impl Node) {
        node.on_gap();
        self.broadcast.send_gap();
        let mut known = BTreeMap::new();
        for (id, version) in [self.watches.versions(), node.running()].concat() {
            known.entry(id).and_modify(|oldest: &mut i64| *oldest = version.min(*oldest)).or_insert(version);
        }
        for task in node.read_newer(known.into_iter().collect()).await {
            node.on_task(&task);
            self.watches.update(&task);
        }
    }
}

#[cfg(test)]
mod tests;
