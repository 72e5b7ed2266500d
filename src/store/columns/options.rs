//! Columns of what clients choose for every kind of task and may change later, and of the place of an error.

use super::WrittenAt::{Change, Start, StartAndChange};
use super::values::decode;
use super::{ColumnDef, TaskColumn, Value, integer, text};
use crate::numbers::{signed, unsigned};
use crate::task::Task;

pub const LABEL: TaskColumn = text(
    "label",
    StartAndChange,
    |task| task.label.as_deref().into(),
    |task, cell| cell.text_if().map(|label| task.label = label),
);

pub const TAGS: TaskColumn = text("tags", StartAndChange, tags, |task, cell| {
    let list = cell.text_if()?;
    task.tags = list.map(|list| serde_json::from_str(&list)).transpose().map_err(decode)?.unwrap_or_default();
    Ok(())
});

pub const PRIORITY: TaskColumn = integer(
    "priority",
    StartAndChange,
    |task| i64::from(task.priority).into(),
    |task, cell| {
        task.priority = i32::try_from(cell.integer()?).map_err(decode)?;
        Ok(())
    },
);

pub const NOTIFY_URL: TaskColumn = text(
    "notify_url",
    StartAndChange,
    |task| task.notify_url.as_deref().into(),
    |task, cell| cell.text_if().map(|url| task.notify_url = url),
);

pub const CREATED_BY: TaskColumn = text(
    "created_by",
    Start,
    |task| (&*task.created_by).into(),
    |task, cell| cell.text().map(|by| task.created_by = by),
);

pub const MAX_ROWS_PER_SECOND: TaskColumn = TaskColumn {
    def: ColumnDef { name: "max_rows_per_second", sql_type: "DOUBLE PRECISION" },
    written: Change,
    get: |task| task.max_rows_per_second.into(),
    set: |task, cell| cell.real_if().map(|rate| task.max_rows_per_second = rate),
};

pub const ERROR_LINE: TaskColumn = integer(
    "error_line",
    Change,
    |task| task.error.as_ref().and_then(|error| error.place.line).map(signed).into(),
    |task, cell| {
        let line = cell.integer_if()?.map(unsigned);
        task.error.iter_mut().for_each(|error| error.place.line = line);
        Ok(())
    },
);

pub const ERROR_COLUMN: TaskColumn = integer(
    "error_column",
    Change,
    |task| task.error.as_ref().and_then(|error| error.place.column).map(signed).into(),
    |task, cell| {
        let column = cell.integer_if()?.map(unsigned);
        task.error.iter_mut().for_each(|error| error.place.column = column);
        Ok(())
    },
);

pub const ERROR_COLUMN_NAME: TaskColumn = text(
    "error_column_name",
    Change,
    |task| task.error.as_ref().and_then(|error| error.place.column_name.as_deref()).into(),
    |task, cell| {
        let name = cell.text_if()?;
        task.error.iter_mut().for_each(|error| error.place.column_name.clone_from(&name));
        Ok(())
    },
);

/// Null for errors that an earlier version wrote: their code says it.
pub const ERROR_RETRYABLE: TaskColumn = integer(
    "error_retryable",
    Change,
    |task| task.error.as_ref().map(|error| i64::from(error.retryable)).into(),
    |task, cell| {
        let retryable = cell.integer_if()?;
        task.error.iter_mut().zip(retryable).for_each(|(error, retryable)| error.retryable = retryable == 1);
        Ok(())
    },
);

/// The list as JSON. Null if it is empty.
fn tags(task: &Task) -> Value<'_> {
    let list = (!task.tags.is_empty()).then(|| serde_json::Value::from(task.tags.clone()).to_string());
    list.into()
}
