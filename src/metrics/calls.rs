//! Calls of a database: their duration, and whether it responds.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Histograms by label.
pub(super) type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 13] = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Calls of a database. The default is not registered: its numbers are not exported.
#[derive(Clone)]
pub struct Calls {
    durations: Durations<CallLabels>,
    unavailable: Counter,
    up: Gauge,
    connections: Family<Use, Gauge>,
    limit: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Use {
    state: &'static str,
}

impl Default for Calls {
    fn default() -> Calls {
        let durations = Durations::new_with_constructor(|| Histogram::new(SECONDS));
        let (unavailable, up, connections, limit) = Default::default();
        Calls { durations, unavailable, up, connections, limit }
    }
}

impl Calls {
    /// Registers the calls of `whom`. The names begin with `name`.
    pub(super) fn register(registry: &mut Registry, name: &str, whom: &str) -> Calls {
        let calls = Calls::default();
        // The node does not start without the database.
        calls.up.set(1);
        let help = format!("Duration of calls to {whom} in seconds, by verb");
        registry.register_with_unit(format!("{name}_call_duration"), help, Unit::Seconds, calls.durations.clone());
        let help = format!("Number of calls that failed because {whom} was unavailable");
        registry.register(format!("{name}_unavailable_errors"), help, calls.unavailable.clone());
        let help = format!("1 if the last call to {whom} got a response, 0 if it was unavailable");
        registry.register(format!("{name}_up"), help, calls.up.clone());
        let help = format!("Open connections of the pool to {whom}, by state: active or idle");
        registry.register(format!("{name}_connections"), help, calls.connections.clone());
        let help = format!("Maximum number of connections of the pool to {whom}");
        registry.register(format!("{name}_connections_max"), help, calls.limit.clone());
        calls
    }

    /// Counts a call of `verb` that began at `since`.
    pub fn ended(&self, verb: &'static str, since: Instant, unavailable: bool) {
        self.durations.get_or_create(&CallLabels { verb }).observe(since.elapsed().as_secs_f64());
        if unavailable {
            self.unavailable.inc();
        }
        self.up.set(i64::from(!unavailable));
    }

    /// Sets the connections of the pool.
    pub fn pool(&self, open: u32, idle: usize, limit: u32) {
        let (open, idle) = (i64::from(open), i64::try_from(idle).unwrap_or(i64::MAX));
        self.connections.get_or_create(&Use { state: "active" }).set((open - idle).max(0));
        self.connections.get_or_create(&Use { state: "idle" }).set(idle);
        self.limit.set(i64::from(limit));
    }
}
