//! Progress of a task, as clients see it.

use async_graphql::{Enum, Object};

use super::scalars::{Count, DateTime};
use crate::task::{self, State, Task, Unit};

/// Largest fraction that is shown before a task is COMPLETED.
const MAX_UNFINISHED_FRACTION: f64 = 0.999_999;

/// Unit in which progress is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ProgressUnit {
    /// Rows of a dataset.
    Rows,
    /// Bytes of a file.
    Bytes,
    /// Decimal digits.
    Digits,
    /// Terms of a series, or the unit of a kind that the embedding program defines.
    Terms,
    /// Delivered webhooks.
    Deliveries,
}

impl From<&Unit> for ProgressUnit {
    /// A unit of the embedding program is shown as TERMS.
    fn from(unit: &Unit) -> ProgressUnit {
        match unit {
            Unit::Rows => ProgressUnit::Rows,
            Unit::Bytes => ProgressUnit::Bytes,
            Unit::Digits => ProgressUnit::Digits,
            Unit::Terms | Unit::Custom(_) => ProgressUnit::Terms,
            Unit::Deliveries => ProgressUnit::Deliveries,
        }
    }
}

/// Progress of a task as of the last commit. It never goes back.
pub struct ProgressObject {
    state: State,
    progress: task::Progress,
}

impl From<&Task> for ProgressObject {
    fn from(task: &Task) -> ProgressObject {
        ProgressObject { state: task.state, progress: task.progress.clone() }
    }
}

impl ProgressObject {
    fn rate(&self) -> Option<f64> {
        let seconds = self.progress.active.as_secs_f64();
        (seconds > 0.0 && self.progress.done > 0).then(|| self.progress.done as f64 / seconds)
    }
}

/// Progress of a task as of the last commit. It never goes back.
#[Object(name = "Progress")]
impl ProgressObject {
    /// Current activity of the task, in one or two words.
    async fn phase(&self) -> &str {
        &self.progress.phase
    }

    /// Unit of `done` and `total`.
    async fn unit(&self) -> ProgressUnit {
        ProgressUnit::from(&self.progress.unit)
    }

    /// Committed amount. It never decreases, also after a pause, a crash or a change of node.
    async fn done(&self) -> Count {
        Count(self.progress.done)
    }

    /// Total amount. Null while it is unknown. For an import it is an estimate until the end of the file is read.
    async fn total(&self) -> Option<Count> {
        self.progress.total.map(Count)
    }

    /// Completed fraction, from 0 to 1. It is 1 only when COMPLETED. Null while the total is unknown.
    async fn fraction(&self) -> Option<f64> {
        if self.state == State::Completed {
            return Some(1.0);
        }
        let total = self.progress.total?;
        let fraction = if total == 0 { 0.0 } else { self.progress.done as f64 / total as f64 };
        Some(fraction.min(MAX_UNFINISHED_FRACTION))
    }

    /// Average rate, in `unit` per second of running time. Null before anything is done.
    async fn rate_per_second(&self) -> Option<f64> {
        self.rate()
    }

    /// Remaining running time at the average rate, in seconds. 0 when the task is finished. Null while the total or the
    /// rate is unknown.
    async fn eta_seconds(&self) -> Option<f64> {
        if self.state.is_final() {
            return Some(0.0);
        }
        let remaining = self.progress.total?.saturating_sub(self.progress.done);
        Some(remaining as f64 / self.rate()?)
    }

    /// Running time in seconds. Waiting and paused time does not count.
    async fn active_seconds(&self) -> f64 {
        self.progress.active.as_secs_f64()
    }

    /// Time of the commit that this progress was read from.
    async fn updated_at(&self) -> DateTime {
        self.progress.updated_at.into()
    }
}
