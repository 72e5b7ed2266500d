//! Handles changes of tasks: those of this node after their commit, and those of other nodes.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Wakeups, transitions};
use crate::access::Caller;
use crate::bus::{Bus, ChangeEvent, ChangePosition, Node, Received, Unread};
use crate::clock::Clock;
use crate::database::log_failure;
use crate::metrics::Metrics;
use crate::store::{self, OnChange, OnUncertain, Store};
use crate::task::{Task, TaskId};

/// Returns the function that the store calls with each change of this node.
pub fn on_change(node: &str, bus: &Bus, wakeups: &Wakeups, metrics: &Metrics) -> OnChange {
    let (node, bus, wakeups, metrics) = (node.to_owned(), bus.clone(), wakeups.clone(), metrics.clone());
    Arc::new(move |change| {
        if let Some(transition) = &change.transition {
            transitions::log(&node, &change.task, transition);
            if transition.from != Some(transition.to) {
                metrics.tasks.changed(&change.task);
            }
        }
        wakeups.observe(&change.task);
        wakeups.notify(&ChangeEvent::from(change));
        bus.publish(change);
    })
}

/// Returns the function that the store calls after a write whose outcome is unknown.
pub fn on_uncertain(bus: &Bus, clock: &Clock) -> OnUncertain {
    let (bus, clock) = (bus.clone(), clock.clone());
    Arc::new(move |within| bus.publish_uncertain(clock.now().checked_sub(within).unwrap_or(Timestamp::MIN)))
}

/// Handles the events of other nodes until their sender is dropped.
pub async fn follow(
    bus: Bus,
    events: mpsc::Receiver<Received<ChangeEvent>>,
    store: Store,
    wakeups: Wakeups,
    metrics: Metrics,
    clock: Clock,
) {
    bus.follow(events, ThisNode { store, wakeups, metrics, clock }).await;
}

struct ThisNode {
    store: Store,
    wakeups: Wakeups,
    metrics: Metrics,
    clock: Clock,
}

impl Node for ThisNode {
    fn on_event(&self, event: &ChangeEvent) {
        self.wakeups.notify(event);
        self.metrics.tasks.stops.observe(event.id, event.state);
    }

    fn on_gap(&self) {
        self.metrics.events.gap();
        self.wakeups.notify_all();
    }

    fn on_task(&self, task: &Task) {
        self.wakeups.observe(task);
    }

    fn running(&self) -> Vec<(TaskId, i64)> {
        self.wakeups.registry.versions()
    }

    fn is_running(&self, id: TaskId) -> bool {
        self.wakeups.registry.contains(id)
    }

    async fn read(&self, id: TaskId) -> Result<Option<Arc<Task>>, Unread> {
        let read = self.store.get(&Caller::system(), id).await;
        read.map_err(|error| unread(&error, "could not read a task that another node changed; retrying"))
    }

    async fn read_newer(&self, known: Vec<(TaskId, i64)>) -> Result<Vec<Arc<Task>>, Unread> {
        let read = self.store.newer(&known).await;
        read.map_err(|error| unread(&error, "could not read the tasks that other nodes may have changed; retrying"))
    }

    async fn changes_after(&self, position: ChangePosition) -> Result<Vec<(ChangePosition, i64)>, Unread> {
        let read = self.store.changes_after(position).await;
        read.map_err(|error| unread(&error, "could not read which tasks other nodes have changed; retrying"))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Logs why something was not read.
fn unread(error: &store::Error, text: &str) -> Unread {
    log_failure!(error, %error, "{text}");
    Unread
}
