//! Metrics of a node, in the text formats that Prometheus reads. One file per area defines its families; modules get a
//! small handle of their area, which costs a few atomic operations per call.
//!
//! Labels have few values: never a task ID, URL, host, dataset or file name.

mod calls;
mod disk;
mod events;
mod http;
mod node;
mod process;
mod tasks;
mod text;
mod transfers;

use std::sync::{Arc, Mutex, MutexGuard};

use prometheus_client::registry::Registry;

use crate::lock::lock;
pub use calls::Calls;
pub use disk::Disk;
pub use events::{Events, Subscribed};
pub use http::{Graphql, Http};
pub use node::NodeGauges;
pub use tasks::{Stops, Tasks, WaitingTasks, Work};
pub use text::Format;
pub use transfers::{Transfer, Transfers};

/// Prefix of the families of this program.
const PREFIX: &str = "pausa";

/// All metrics of a node. Clones share the numbers.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// HTTP requests.
    pub http: Http,
    /// GraphQL operations.
    pub graphql: Graphql,
    /// Tasks and their runs.
    pub tasks: Tasks,
    /// Calls of the task store.
    pub store: Calls,
    /// Calls of the database of datasets.
    pub datasets: Calls,
    /// Events of subscriptions.
    pub events: Events,
    /// Files sent by clients.
    pub uploads: Transfers,
    /// Files and datasets sent to clients.
    pub downloads: Transfers,
    /// The disk that holds the data folder.
    pub disk: Disk,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::default();
        process::register(&mut registry);
        let own = registry.sub_registry_with_prefix(PREFIX);
        let metrics = Metrics {
            http: Http::register(own),
            graphql: Graphql::register(own),
            tasks: Tasks::register(own),
            store: Calls::register(own, "store", "the task store"),
            datasets: Calls::register(own, "datasets", "the database of datasets"),
            events: Events::register(own),
            uploads: Transfers::register(own, "upload", "Files that clients send"),
            downloads: Transfers::register(own, "download", "Result files and datasets that clients read"),
            disk: Disk::register(own),
            registry: Arc::default(),
        };
        Metrics { registry: Arc::new(Mutex::new(registry)), ..metrics }
    }
}

impl Metrics {
    /// Adds families that `register` defines, such as those of a kind of task. Their names get the prefix `pausa_`.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(self.registry().sub_registry_with_prefix(PREFIX))
    }

    /// Returns all families as text.
    pub fn encode(&self, format: Format) -> String {
        text::encode(&self.registry(), format)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.registry)
    }
}
