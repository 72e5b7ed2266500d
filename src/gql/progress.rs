//! How far a task came, as clients see it.

use async_graphql::{Enum, Object};

use super::scalars::{Count, DateTime};
use crate::task::{self, State, Task, Unit};

/// The largest share that is shown before a task is COMPLETED.
const NEARLY: f64 = 0.999_999;

/// What progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Unit")]
pub enum ProgressUnit {
    /// Rows of a dataset.
    Rows,
    /// Bytes of a file.
    Bytes,
    /// Decimal digits.
    Digits,
    /// Terms of a series.
    Terms,
    /// Webhooks that were sent.
    Deliveries,
}

/// How far a task came. All of it is what was committed: it never goes back.
pub struct Progress {
    state: State,
    progress: task::Progress,
}

impl From<&Task> for Progress {
    fn from(task: &Task) -> Progress {
        Progress { state: task.state, progress: task.progress.clone() }
    }
}

impl Progress {
    fn rate(&self) -> Option<f64> {
        let seconds = self.progress.active.as_secs_f64();
        (seconds > 0.0 && self.progress.done > 0).then(|| self.progress.done as f64 / seconds)
    }
}

/// How far a task came. All of it is what was committed: it never goes back.
#[Object]
impl Progress {
    /// What the task is doing now, in a word or two.
    async fn phase(&self) -> &str {
        &self.progress.phase
    }

    /// What `done` and `total` count.
    async fn unit(&self) -> ProgressUnit {
        self.progress.unit.into()
    }

    /// What is committed. Never goes back, not over a pause, a crash or a change of node.
    async fn done(&self) -> Count {
        Count(self.progress.done)
    }

    /// The whole; null while it is unknown. For an import it is estimated by the share of the file that is read, until the
    /// end is reached.
    async fn total(&self) -> Option<Count> {
        self.progress.total.map(Count)
    }

    /// The share that is done, from 0 to 1; 1 only when COMPLETED; null while the total is unknown.
    async fn fraction(&self) -> Option<f64> {
        if self.state == State::Completed {
            return Some(1.0);
        }
        let total = self.progress.total?;
        let share = if total == 0 { 0.0 } else { self.progress.done as f64 / total as f64 };
        Some(share.min(NEARLY))
    }

    /// `done` a second, over the time spent running; null before there is any.
    async fn rate_per_second(&self) -> Option<f64> {
        self.rate()
    }

    /// Seconds of running that are left at that rate; 0 once it is over, null while the total or the rate is unknown.
    async fn eta_seconds(&self) -> Option<f64> {
        if self.state.is_final() {
            return Some(0.0);
        }
        let left = self.progress.total?.saturating_sub(self.progress.done);
        Some(left as f64 / self.rate()?)
    }

    /// Seconds spent running, without waits and pauses.
    async fn active_seconds(&self) -> f64 {
        self.progress.active.as_secs_f64()
    }

    /// When this was true.
    async fn updated_at(&self) -> DateTime {
        self.progress.updated_at.into()
    }
}
