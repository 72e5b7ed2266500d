//! Progress of running tasks inside events: so watchers at other nodes cost the store nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::task::{Progress, State, Task, TaskChange, Unit};

/// Report of a run: all that changes in a task that stays RUNNING with the same epoch. `src/task/change_tests.rs` checks that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedProgress {
    /// Epoch of the run.
    pub epoch: i64,
    /// Progress after the change.
    pub progress: Progress,
    /// Cursor after the change.
    pub cursor: Option<String>,
}

impl ReportedProgress {
    /// Returns the progress to send. None if more changed than that, or if no subscriber needs it, as of a short task.
    pub(super) fn of(change: &TaskChange) -> Option<ReportedProgress> {
        let task = &change.task;
        let reported = change.transition.is_none() && task.state == State::Running && !task.is_short();
        reported.then(|| ReportedProgress {
            epoch: task.epoch,
            progress: task.progress.clone(),
            cursor: task.cursor.clone(),
        })
    }

    /// Returns the task after the report, with that version. None if `known` may differ by more than the progress: it is of another
    /// run, or not RUNNING.
    pub(super) fn apply(&self, known: &Task, version: i64) -> Option<Task> {
        if known.epoch != self.epoch || known.state != State::Running {
            return None;
        }
        let mut task = Task { version, ..known.clone() };
        task.report(self.cursor.clone(), self.progress.clone());
        Some(task)
    }

    /// Encodes the report as one line of JSON.
    pub(super) fn encode(&self) -> Option<String> {
        let Progress { phase, unit, done, total, active, updated_at } = &self.progress;
        let line = ReportLine {
            epoch: self.epoch,
            phase: phase.clone(),
            unit: unit.as_str().to_owned(),
            done: *done,
            total: *total,
            active: u64::try_from(active.as_micros()).ok()?,
            at: updated_at.as_microsecond(),
            cursor: self.cursor.clone(),
        };
        serde_json::to_string(&line).ok()
    }

    /// Decodes a report. None if the text is no report.
    pub(super) fn decode(text: &str) -> Option<ReportedProgress> {
        let ReportLine { epoch, phase, unit, done, total, active, at, cursor } = serde_json::from_str(text).ok()?;
        let (active, updated_at) = (Duration::from_micros(active), Timestamp::from_microsecond(at).ok()?);
        let progress = Progress { phase, unit: Unit::from(&*unit), done, total, active, updated_at };
        Some(ReportedProgress { epoch, progress, cursor })
    }
}

/// A report as it is sent. Durations and times are in microseconds.
#[derive(Serialize, Deserialize)]
struct ReportLine {
    epoch: i64,
    phase: String,
    unit: String,
    done: u64,
    total: Option<u64>,
    active: u64,
    at: i64,
    cursor: Option<String>,
}
