//! Events of subscriptions.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Events of subscriptions.
#[derive(Clone, Default)]
pub struct Events {
    delivered: Family<SubscriptionLabels, Counter>,
    open: Family<SubscriptionLabels, Gauge>,
    lagged: Counter,
    gaps: Counter,
    up: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubscriptionLabels {
    subscription: &'static str,
}

/// An open subscription. It counts as open until it is dropped.
pub struct Subscribed {
    delivered: Counter,
    open: Gauge,
    lagged: Counter,
}

impl Events {
    pub(super) fn register(registry: &mut Registry) -> Events {
        let events = Events::default();
        let help = "Events delivered to subscribers, by subscription";
        registry.register("events_delivered", help, events.delivered.clone());
        let help = "Open subscriptions, by subscription";
        registry.register("subscriptions_open", help, events.open.clone());
        let help =
            "Changes that a slow subscriber of taskChanges missed; it then reads the changes from the task store";
        registry.register("events_lagged", help, events.lagged.clone());
        let help = "Number of times that changes of other nodes may have been missed, once a second while no events are received; \
            watched tasks are then read again";
        registry.register("events_gaps", help, events.gaps.clone());
        let help = "1 if this node receives its own messages through Redis or PostgreSQL, or needs neither; 0 while it does not: \
            then it reads the changes of other nodes from the task store every second";
        events.set_up(true);
        registry.register("events_up", help, events.up.clone());
        events
    }

    /// Opens a subscription with this name.
    pub fn subscribed(&self, subscription: &'static str) -> Subscribed {
        let label = SubscriptionLabels { subscription };
        let open = self.open.get_or_create_owned(&label);
        open.inc();
        Subscribed { delivered: self.delivered.get_or_create_owned(&label), open, lagged: self.lagged.clone() }
    }

    /// Sets if this node receives its own messages.
    pub fn set_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// Counts that changes of other nodes may have been missed.
    pub fn gap(&self) {
        self.gaps.inc();
    }
}

impl Subscribed {
    /// Counts a delivered event.
    pub fn delivered(&self) {
        self.delivered.inc();
    }

    /// Counts events that the subscriber missed.
    pub fn lagged(&self, events: u64) {
        self.lagged.inc_by(events);
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.open.dec();
    }
}
