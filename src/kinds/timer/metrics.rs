//! Metrics of timers: delays and outcomes of their webhooks.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::Metrics;

/// Upper bounds of the delay, in seconds.
const LATE: [f64; 14] = [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0, 600.0, 3600.0];

/// The outcome of one attempt to send a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A 2xx response.
    Success,
    /// No success. The timer retries.
    Retried,
    /// No response within the timeout. The timer does not retry.
    TimedOut,
    /// The receiver responded 410, which ends the timer.
    Gone,
    /// An AT_MOST_ONCE request whose delivery is unknown: the connection broke, or the node stopped meanwhile.
    Unknown,
    /// A pause, a termination or a shutdown stopped the attempt.
    Stopped,
    /// Any other failure. The timer does not retry.
    Failed,
}

impl Sent {
    const ALL: [(Sent, &'static str); 7] = [
        (Sent::Success, "success"),
        (Sent::Retried, "retried"),
        (Sent::TimedOut, "timed_out"),
        (Sent::Gone, "gone"),
        (Sent::Unknown, "unknown"),
        (Sent::Stopped, "stopped"),
        (Sent::Failed, "failed"),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// Counters of the webhooks that this node sends.
#[derive(Clone)]
pub struct TimerMetrics {
    lateness: Histogram,
    sent: [Counter; Sent::ALL.len()],
}

impl TimerMetrics {
    /// Adds the families to those of the node.
    pub fn new(metrics: &Metrics) -> TimerMetrics {
        metrics.register(TimerMetrics::register)
    }

    fn register(registry: &mut Registry) -> TimerMetrics {
        let (lateness, sent) = (Histogram::new(LATE), Family::<OutcomeLabels, Counter>::default());
        let help = "Delay between the due time of an attempt of a timer and its request, in seconds";
        registry.register_with_unit("timer_lateness", help, Unit::Seconds, lateness.clone());
        let help = "Attempts to send the webhook of a timer, by outcome: success, retried, timed_out, gone (410), \
            unknown (AT_MOST_ONCE), stopped, failed";
        registry.register("timer_attempts", help, sent.clone());
        let sent = Sent::ALL.map(|(_, outcome)| sent.get_or_create_owned(&OutcomeLabels { outcome }));
        TimerMetrics { lateness, sent }
    }

    /// Records the delay of an attempt.
    pub fn late(&self, time: Duration) {
        self.lateness.observe(time.as_secs_f64());
    }

    /// Counts the outcome of an attempt.
    pub fn sent(&self, outcome: Sent) {
        self.sent[outcome as usize].inc();
    }
}
