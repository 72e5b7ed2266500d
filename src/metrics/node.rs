//! The node itself: its clock and its name.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Gauges of the node itself.
#[derive(Clone)]
pub struct NodeGauges {
    ahead: Gauge<f64, AtomicU64>,
    namesakes: Gauge,
}

impl NodeGauges {
    pub(super) fn register(registry: &mut Registry) -> NodeGauges {
        let gauges = NodeGauges { ahead: Gauge::default(), namesakes: Gauge::default() };
        let help = "Seconds by which the clock of this machine is ahead of the database's, which decides; negative if it is behind";
        registry.register_with_unit("node_clock_ahead", help, Unit::Seconds, gauges.ahead.clone());
        let help = "Other active nodes with the name of this one";
        registry.register("node_namesakes", help, gauges.namesakes.clone());
        gauges
    }

    /// Sets both.
    pub fn set(&self, ahead: f64, namesakes: u64) {
        self.ahead.set(ahead);
        self.namesakes.set(i64::try_from(namesakes).unwrap_or(i64::MAX));
    }
}
