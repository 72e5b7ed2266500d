//! Reads tasks and other values of rows.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};
use uuid::Uuid;

use super::columns::{Cell, TASK_COLUMNS, decode};
use super::sql::Sql;
use crate::task::{NewTask, StateChange, Task, TaskId, Unit};

/// Reads the task of a row of [`super::sql::select`].
pub fn task(row: &AnyRow) -> sqlx::Result<Task> {
    let new = NewTask::new(String::new(), String::new(), Unit::Rows);
    let mut task = Task::new(Uuid::nil().into(), new, Timestamp::UNIX_EPOCH);
    for (index, column) in TASK_COLUMNS.iter().enumerate() {
        (column.set)(&mut task, Cell { row, index })?;
    }
    Ok(task)
}

/// Returns the ID in the column `id`.
pub fn id(row: &AnyRow) -> sqlx::Result<TaskId> {
    parsed(row, "id")
}

/// Reads the history entry of a row of [`super::sql::HISTORY`].
pub fn change(row: &AnyRow) -> sqlx::Result<StateChange> {
    let from: Option<String> = row.try_get("from_state")?;
    Ok(StateChange {
        from: from.map(|name| name.parse().map_err(decode)).transpose()?,
        to: parsed(row, "to_state")?,
        at: moment(row, "at")?,
        by: row.try_get("by_whom")?,
        reason: row.try_get("reason")?,
    })
}

/// Reads a task and locks its row until the transaction ends. None if it does not exist.
pub async fn locked(conn: &mut AnyConnection, sql: &Sql, id: TaskId) -> sqlx::Result<Option<Task>> {
    let row = sqlx::query(sql.get_locked.clone()).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(task).transpose()
}

/// Returns the value whose name is in the column.
pub fn parsed<T>(row: &AnyRow, column: &str) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<String, _>(column)?.parse().map_err(decode)
}

/// Returns the time in a column of microseconds.
pub fn moment(row: &AnyRow, column: &str) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(decode)
}

/// Returns the time in a column of microseconds that may be null.
pub fn moment_if(row: &AnyRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
    let at: Option<i64> = row.try_get(column)?;
    at.map(|at| Timestamp::from_microsecond(at).map_err(decode)).transpose()
}
