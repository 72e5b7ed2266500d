//! Tasks written as rows: many at once, as one JSON list that the database takes apart.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::{AnyConnection, SqlStr};

use super::dialect::SqlDialect;
use super::row::{self, signed};
use super::sql::Sql;
use crate::bus::{ChangeEvent, postgres};
use crate::task::{StateChange, Task, TaskChange, TaskId};

/// A row of the tasks: its fields have the names of the columns. What is left out is null.
#[derive(Serialize)]
struct Line<'a> {
    id: String,
    #[serde(flatten)]
    fixed: Option<Fixed<'a>>,
    version: i64,
    state: &'static str,
    epoch: i64,
    owner: Option<&'a str>,
    cursor: Option<&'a str>,
    phase: &'a str,
    done: i64,
    total: Option<i64>,
    active: i64,
    progress_at: i64,
    attempt: u32,
    crashes: u32,
    failures: u32,
    #[serde(flatten)]
    error: Option<ErrorOf<'a>>,
    #[serde(flatten)]
    result: Option<ResultOf<'a>>,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    paused_at: Option<i64>,
    due_at: Option<i64>,
    due_since: Option<i64>,
    #[serde(flatten)]
    expiry: Option<ExpiryOf>,
}

/// What a task keeps from its start to its end.
#[derive(Serialize)]
struct Fixed<'a> {
    kind: &'a str,
    label: Option<&'a str>,
    spec: &'a str,
    unit: &'static str,
    created_at: i64,
    start_at: Option<i64>,
    exclusive: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    input_sha256: Option<&'a str>,
    upload_id: Option<&'a str>,
    lane: Option<&'a str>,
    trace_parent: Option<&'a str>,
}

#[derive(Serialize)]
struct ErrorOf<'a> {
    error_code: &'a str,
    error_message: &'a str,
}

#[derive(Serialize)]
struct ResultOf<'a> {
    result_name: &'a str,
    result_size: i64,
    result_type: &'a str,
    result_sha256: &'a str,
}

#[derive(Serialize)]
struct ExpiryOf {
    expires_at: i64,
    expire_then: &'static str,
}

/// A row of the histories.
#[derive(Serialize)]
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
#[derive(Serialize)]
struct EventLine {
    id: String,
    event: String,
}

/// Writes new tasks and the first entries of their histories.
pub async fn insert(conn: &mut AnyConnection, sql: &Sql, changes: &[TaskChange]) -> sqlx::Result<()> {
    let new = |task| Line { fixed: Some(fixed(task)), ..line(task) };
    write(conn, sql, &sql.insert, changes, new).await.map(drop)
}

/// Writes tasks back over the versions before theirs.
///
/// # Errors
/// [`sqlx::Error::Protocol`] if one of the tasks has changed since it was read.
pub async fn update(conn: &mut AnyConnection, sql: &Sql, changes: &[TaskChange]) -> sqlx::Result<()> {
    match update_unchanged(conn, sql, changes).await?.len() == changes.len() {
        true => Ok(()),
        false => Err(sqlx::Error::Protocol("a task changed while it was being changed".to_owned())),
    }
}

/// Writes back the tasks that have not changed since they were read. Returns their IDs.
pub async fn update_unchanged(
    conn: &mut AnyConnection,
    sql: &Sql,
    changes: &[TaskChange],
) -> sqlx::Result<HashSet<TaskId>> {
    write(conn, sql, &sql.update, changes, line).await
}

/// Writes tasks and their histories, and sends the events to the other nodes. Returns the IDs of the written tasks.
async fn write<'a>(
    conn: &mut AnyConnection,
    sql: &Sql,
    statement: &SqlStr,
    changes: &'a [TaskChange],
    line: impl Fn(&'a Task) -> Line<'a>,
) -> sqlx::Result<HashSet<TaskId>> {
    let tasks: Vec<_> = changes.iter().map(|change| line(&change.task)).collect();
    let statement = sqlx::query(statement.clone()).bind(json(&tasks)?);
    let rows = match sql.dialect {
        SqlDialect::Sqlite => statement.fetch_all(&mut *conn).await?,
        SqlDialect::Postgres => {
            let (histories, events) = (history_lines(changes, |_| true)?, event_lines(changes, &sql.source)?);
            statement.bind(histories).bind(events).fetch_all(&mut *conn).await?
        }
    };
    let ids: HashSet<_> = rows.iter().map(row::id).collect::<sqlx::Result<_>>()?;
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
        event: postgres::encode(&ChangeEvent::from(change), source),
    };
    json(&changes.iter().map(line).collect::<Vec<_>>())
}

/// The list as the statements take it.
pub fn json<T: Serialize>(list: &[T]) -> sqlx::Result<String> {
    serde_json::to_string(list).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

fn line(task: &Task) -> Line<'_> {
    let progress = &task.progress;
    Line {
        id: task.id.to_string(),
        fixed: None,
        version: task.version,
        state: task.state.as_str(),
        epoch: task.epoch,
        owner: task.owner.as_deref(),
        cursor: task.cursor.as_deref(),
        phase: &progress.phase,
        done: signed(progress.done),
        total: progress.total.map(signed),
        active: i64::try_from(progress.active.as_micros()).unwrap_or(i64::MAX),
        progress_at: progress.updated_at.as_microsecond(),
        attempt: task.attempt,
        crashes: task.crashes,
        failures: task.failures,
        error: task
            .error
            .as_ref()
            .map(|error| ErrorOf { error_code: error.code.as_str(), error_message: &error.message }),
        result: task.result.as_ref().map(|file| ResultOf {
            result_name: &file.name,
            result_size: signed(file.size),
            result_type: &file.content_type,
            result_sha256: &file.sha256,
        }),
        started_at: task.started_at.map(|at| at.as_microsecond()),
        finished_at: task.finished_at.map(|at| at.as_microsecond()),
        paused_at: task.paused_at.map(|at| at.as_microsecond()),
        due_at: task.due_at.map(|at| at.as_microsecond()),
        due_since: task.due_since.map(|at| at.as_microsecond()),
        expiry: task
            .expiry
            .map(|expiry| ExpiryOf { expires_at: expiry.at.as_microsecond(), expire_then: expiry.then.as_str() }),
    }
}

fn fixed(task: &Task) -> Fixed<'_> {
    Fixed {
        kind: &task.kind,
        label: task.label.as_deref(),
        spec: &task.spec,
        unit: task.progress.unit.as_str(),
        created_at: task.created_at.as_microsecond(),
        start_at: task.start_at.map(|at| at.as_microsecond()),
        exclusive: task.unique_key.as_deref(),
        idempotency_key: task.idempotency_key.as_ref().map(|key| key.text.as_str()),
        input_sha256: task.idempotency_key.as_ref().and_then(|key| key.input_sha256.as_deref()),
        upload_id: task.upload.as_deref(),
        lane: task.concurrency_key.as_deref(),
        trace_parent: task.trace_parent.as_deref(),
    }
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
