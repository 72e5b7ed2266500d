//! Columns by which lists are filtered, searched and ordered.

use jiff::Timestamp;

use super::WrittenAt::{Start, StartAndChange};
use super::{TaskColumn, integer, text};
use crate::task::Task;

pub const DATASET: TaskColumn = text(
    "dataset",
    Start,
    |task| task.dataset.as_deref().into(),
    |task, cell| cell.text_if().map(|dataset| task.dataset = dataset),
);

pub const FILE_NAME: TaskColumn = text(
    "file_name",
    Start,
    |task| task.file_name.as_deref().into(),
    |task, cell| cell.text_if().map(|name| task.file_name = name),
);

/// Only for searches. A trigger keeps the index of its parts.
pub const SEARCH_TEXT: TaskColumn =
    text("search_text", StartAndChange, |task| task.search_text().into(), |_, _| Ok(()));

/// Null for tasks that an earlier version wrote. Read after the other times of a task.
pub const UPDATED_AT: TaskColumn = integer(
    "updated_at",
    StartAndChange,
    |task| task.updated_at.into(),
    |task, cell| cell.moment_if().map(|at| task.updated_at = last_update(task, at)),
);

/// The newest of the times at which the task is known to have changed. Earlier versions leave `updated_at` as it is. The index
/// tasks_updated has the same.
fn last_update(task: &Task, updated_at: Option<Timestamp>) -> Timestamp {
    let known = [updated_at, task.started_at, task.finished_at, task.paused_at];
    known.into_iter().flatten().fold(task.created_at, Timestamp::max)
}
