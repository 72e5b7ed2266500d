//! Warnings for the operator of a node that works: shown by /readyz and /metrics, and logged once when it begins.

use std::sync::{Mutex, MutexGuard};

use jiff::SignedDuration;

use crate::lock::lock;
use crate::metrics::NodeGauges;
use crate::store::OtherNodes;

/// A larger difference between the clock of the machine and the database's is shown.
const MAX_DIFFERENCE: SignedDuration = SignedDuration::from_millis(500);

/// The warnings of this node, as of the last heartbeat.
#[derive(Default)]
pub struct NodeWarnings(Mutex<CurrentWarnings>);

#[derive(Clone, Default)]
struct CurrentWarnings {
    clock: Option<String>,
    namesakes: Option<String>,
    disk: Option<String>,
}

impl NodeWarnings {
    /// Returns the texts of the warnings.
    pub fn texts(&self) -> Vec<String> {
        let CurrentWarnings { clock, namesakes, disk } = self.current().clone();
        clock.into_iter().chain(namesakes).chain(disk).collect()
    }

    /// Observes how far the clock of this machine is ahead of the database's, the other nodes, and if the disk of working files is
    /// full. `name` is the name of this node.
    pub fn observe(&self, name: &str, ahead: SignedDuration, others: OtherNodes, disk_full: bool, gauges: &NodeGauges) {
        let namesakes = others.namesakes;
        gauges.set(ahead.as_secs_f64(), namesakes);
        let clock = (ahead.abs() > MAX_DIFFERENCE).then(|| describe_clock(ahead));
        let namesakes = (namesakes > 0).then(|| {
            format!("{namesakes} other nodes are called {name:?}: give each node a name of its own (PAUSA_NODE)")
        });
        let disk = disk_full.then(|| describe_disk(others.with_space));
        let mut current = self.current();
        for (before, now) in [(&current.clock, &clock), (&current.namesakes, &namesakes), (&current.disk, &disk)] {
            if let (None, Some(text)) = (before, now) {
                tracing::warn!(node = name, "{text}");
            }
        }
        *current = CurrentWarnings { clock, namesakes, disk };
    }

    /// The texts stay valid if a thread panics while it holds the lock.
    fn current(&self) -> MutexGuard<'_, CurrentWarnings> {
        lock(&self.0)
    }
}

fn describe_disk(with_space: u64) -> String {
    let consequence = match with_space {
        0 => "and no other node has space: tasks that write files wait",
        _ => "so other nodes run the tasks that write files",
    };
    format!("the disk of working files is full, {consequence}")
}

fn describe_clock(ahead: SignedDuration) -> String {
    let direction = if ahead.is_positive() { "ahead of" } else { "behind" };
    format!(
        "the clock of this machine is {:.1} s {direction} the database's, which decides: synchronize both by NTP",
        ahead.abs().as_secs_f64()
    )
}
