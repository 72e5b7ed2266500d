//! Writes tasks as rows: many in one statement, as a JSON list that the database takes apart.

use std::collections::HashSet;

use serde::ser::{Serialize, SerializeMap, Serializer};
use sqlx::AnyConnection;

use super::columns::{TASK_COLUMNS, TaskColumn, Value, WrittenAt};
use super::dialect::SqlDialect;
use super::row;
use super::sql::Sql;
use crate::bus::ChangeEvent;
use crate::bus::wire::{self, Message};
use crate::task::{StateChange, Task, TaskChange, TaskId};

/// A row of the table `tasks`, with the columns that are written at some times. Null values are left out.
struct TaskLine<'t> {
    task: &'t Task,
    way: LineWrite,
}

impl Serialize for TaskLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for column in TASK_COLUMNS.iter().filter(|column| self.way.includes(column)) {
            match (column.get)(self.task) {
                Value::Null => {}
                value => map.serialize_entry(column.def.name, &value)?,
            }
        }
        map.end()
    }
}

/// A row of the table `task_changes`.
#[derive(serde::Serialize)]
struct ChangeLine<'a> {
    task_id: String,
    version: i64,
    from_state: Option<&'static str>,
    to_state: &'static str,
    at: i64,
    by_whom: &'a str,
    reason: Option<&'a str>,
}

/// Event for the other nodes, sent if the task is written.
#[derive(serde::Serialize)]
struct EventLine {
    id: String,
    event: String,
}

/// Way of writing tasks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LineWrite {
    /// New tasks, with the first entries of their histories.
    Insert,
    /// Tasks over the versions before theirs. An error if one has changed since it was read.
    Update,
    /// Tasks over the versions before theirs, except those that have changed since they were read.
    UpdateUnchanged,
}

impl LineWrite {
    /// Returns true if the statement needs the column. An update needs those that change, and the ID.
    fn includes(self, column: &TaskColumn) -> bool {
        match self {
            LineWrite::Insert => column.written != WrittenAt::Change,
            LineWrite::Update | LineWrite::UpdateUnchanged => {
                column.written != WrittenAt::Start || column.def.name == "id"
            }
        }
    }
}

/// Writes tasks and their histories, and sends the events to the other nodes. Returns the IDs of the written tasks.
///
/// # Errors
/// [`sqlx::Error::Protocol`] if [`LineWrite::Update`] finds a task that has changed since it was read.
pub async fn write(
    conn: &mut AnyConnection,
    sql: &Sql,
    way: LineWrite,
    changes: &[TaskChange],
) -> sqlx::Result<HashSet<TaskId>> {
    let statement = if way == LineWrite::Insert { &sql.insert } else { &sql.update };
    let tasks: Vec<_> = changes.iter().map(|change| TaskLine { task: &change.task, way }).collect();
    let statement = sqlx::query(statement.clone()).bind(json(&tasks)?);
    let rows = match sql.dialect {
        SqlDialect::Sqlite => statement.fetch_all(&mut *conn).await?,
        SqlDialect::Postgres => {
            let (histories, events) = (history_lines(changes, |_| true)?, event_lines(changes, &sql.source)?);
            statement.bind(histories).bind(events).fetch_all(&mut *conn).await?
        }
    };
    let ids: HashSet<_> = rows.iter().map(row::id).collect::<sqlx::Result<_>>()?;
    if way == LineWrite::Update && ids.len() < changes.len() {
        return Err(sqlx::Error::Protocol("a task changed while it was being changed".to_owned()));
    }
    if sql.dialect == SqlDialect::Sqlite && changes.iter().any(|change| change.transition.is_some()) {
        let histories = history_lines(changes, |id| ids.contains(id))?;
        sqlx::query(sql.add_changes.clone()).bind(histories).execute(conn).await?;
    }
    Ok(ids)
}

/// Encodes the new entries in the histories of the tasks that `includes` accepts.
fn history_lines(changes: &[TaskChange], includes: impl Fn(&TaskId) -> bool) -> sqlx::Result<String> {
    let changes = changes.iter().filter(|change| includes(&change.task.id));
    let lines: Vec<_> =
        changes.filter_map(|change| Some(change_line(&change.task, change.transition.as_ref()?))).collect();
    json(&lines)
}

/// Encodes the events of the changes.
fn event_lines(changes: &[TaskChange], source: &str) -> sqlx::Result<String> {
    let line = |change: &TaskChange| EventLine {
        id: change.task.id.to_string(),
        event: wire::encode(&Message::Event(ChangeEvent::from(change)), source),
    };
    json(&changes.iter().map(line).collect::<Vec<_>>())
}

/// Encodes a list as the statements expect it.
pub fn json<T: Serialize>(list: &[T]) -> sqlx::Result<String> {
    serde_json::to_string(list).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

fn change_line<'a>(task: &Task, change: &'a StateChange) -> ChangeLine<'a> {
    ChangeLine {
        task_id: task.id.to_string(),
        version: task.version,
        from_state: change.from.map(|state| state.as_str()),
        to_state: change.to.as_str(),
        at: change.at.as_microsecond(),
        by_whom: &change.by,
        reason: change.reason.as_deref(),
    }
}
