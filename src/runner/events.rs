//! What a node does with changes of tasks: with its own after their commit, and with those of other nodes.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Wakeups, transitions};
use crate::access::Caller;
use crate::bus::{Bus, ChangeEvent, Node, Received};
use crate::database::log_failure;
use crate::metrics::Metrics;
use crate::store::{OnChange, Store};
use crate::task::{Task, TaskId};

/// Returns the function that the store calls with each change of this node.
pub fn on_change(node: &str, bus: &Bus, wakeups: &Wakeups, metrics: &Metrics) -> OnChange {
    let (node, bus, wakeups, metrics) = (node.to_owned(), bus.clone(), wakeups.clone(), metrics.clone());
    Arc::new(move |change| {
        if let Some(transition) = &change.transition {
            transitions::log(&node, &change.task, transition);
            metrics.tasks.changed(&change.task);
        }
        wakeups.observe(&change.task);
        wakeups.notify(&ChangeEvent::from(change));
        bus.publish(change);
    })
}

/// Handles the events of other nodes until their sender is dropped.
pub async fn follow(
    bus: Bus,
    events: mpsc::Receiver<Received<ChangeEvent>>,
    store: Store,
    wakeups: Wakeups,
    metrics: Metrics,
) {
    bus.follow(events, ThisNode { store, wakeups, metrics }).await;
}

struct ThisNode {
    store: Store,
    wakeups: Wakeups,
    metrics: Metrics,
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

    async fn read(&self, id: TaskId) -> Option<Arc<Task>> {
        self.store.get(&Caller::system(), id).await.unwrap_or_else(|error| {
            log_failure!(error, task = %id, %error, "could not read a task that another node changed");
            None
        })
    }

    async fn read_newer(&self, known: Vec<(TaskId, i64)>) -> Vec<Arc<Task>> {
        self.store.newer(&known).await.unwrap_or_else(|error| {
            log_failure!(error, %error, "could not read the tasks that other nodes may have changed");
            Vec::new()
        })
    }
}
