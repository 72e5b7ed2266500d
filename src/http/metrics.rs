//! What is counted, as Prometheus reads it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Site;
use crate::task::Task;

/// The counters of a node. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    changes: Family<Change, Counter>,
    running: Gauge,
    lateness: Histogram,
}

/// Seconds by which webhooks are late: the upper bounds of the histogram's buckets.
const LATE: [f64; 14] = [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0, 600.0, 3600.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Change {
    kind: String,
    state: String,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("pausa");
        let (changes, running) = (Family::<Change, Counter>::default(), Gauge::default());
        let lateness = Histogram::new(LATE);
        registry.register("task_changes", "Changes of state that this node made", changes.clone());
        registry.register("tasks_running", "Tasks that this node works on", running.clone());
        let late = "Seconds from the moment for which a try of a timer was due to its sending";
        registry.register_with_unit("timer_lateness", late, Unit::Seconds, lateness.clone());
        Metrics { registry: Arc::new(registry), changes, running, lateness }
    }
}

impl Metrics {
    /// Where timers count how late they are.
    pub fn lateness(&self) -> Histogram {
        self.lateness.clone()
    }

    /// Counts a change of a task's state.
    pub fn changed(&self, task: &Task) {
        let change = Change { kind: task.kind.clone(), state: task.state.to_string() };
        self.changes.get_or_create(&change).inc();
    }
}

/// All counters as text.
pub async fn show(State(site): State<Site>) -> Response {
    site.metrics.running.set(i64::try_from(site.runner.running()).unwrap_or(i64::MAX));
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = encode(&mut text, &site.metrics.registry);
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
