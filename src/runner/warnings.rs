//! What an operator should know about this node, although it works: shown by /readyz and /metrics, and logged once when it begins.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;

use crate::metrics::NodeGauges;

/// A larger difference between the clock of the machine and the database's is shown.
const MAX_DIFFERENCE: SignedDuration = SignedDuration::from_millis(500);

/// The warnings of this node, as of the last heartbeat.
#[derive(Default)]
pub struct NodeWarnings(Mutex<CurrentWarnings>);

#[derive(Clone, Default)]
struct CurrentWarnings {
    clock: Option<String>,
    namesakes: Option<String>,
}

impl NodeWarnings {
    /// Returns the texts of the warnings.
    pub fn texts(&self) -> Vec<String> {
        let CurrentWarnings { clock, namesakes } = self.current().clone();
        clock.into_iter().chain(namesakes).collect()
    }

    /// Observes how far the clock of this machine is ahead of the database's, and how many other living nodes are called `name`.
    pub fn observe(&self, name: &str, ahead: SignedDuration, namesakes: u64, gauges: &NodeGauges) {
        gauges.set(ahead.as_secs_f64(), namesakes);
        let clock = (ahead.abs() > MAX_DIFFERENCE).then(|| describe_clock(ahead));
        let namesakes = (namesakes > 0).then(|| {
            format!("{namesakes} other nodes are called {name:?}: give each node a name of its own (PAUSA_NODE)")
        });
        let mut current = self.current();
        for (before, now) in [(&current.clock, &clock), (&current.namesakes, &namesakes)] {
            if let (None, Some(text)) = (before, now) {
                tracing::warn!(node = name, "{text}");
            }
        }
        *current = CurrentWarnings { clock, namesakes };
    }

    /// The texts stay valid if a thread panics while it holds the lock.
    fn current(&self) -> MutexGuard<'_, CurrentWarnings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe_clock(ahead: SignedDuration) -> String {
    let direction = if ahead.is_positive() { "ahead of" } else { "behind" };
    format!(
        "the clock of this machine is {:.1} s {direction} the database's, which decides: synchronize both by NTP",
        ahead.abs().as_secs_f64()
    )
}
