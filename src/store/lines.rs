//! Tasks written as rows: many at once, as one JSON list that the database takes apart.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use sqlx::{AnyConnection, SqlStr};

use super::dialect::Dialect;
use super::hint;
use super::row::{self, signed};
use super::sql::Sql;
use crate::task::{StateChange, Task, TaskId};

/// A task as it is to be written, with the line of its history where its state changed.
pub type Written = (Arc<Task>, Option<StateChange>);

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

/// What the other nodes are told of a task.
#[derive(Serialize)]
struct Said {
    id: String,
    word: String,
}

/// Writes new tasks and the first lines of their histories.
pub async fn insert(conn: &mut AnyConnection, sql: &Sql, written: &[Written]) -> sqlx::Result<()> {
    let new = |task| Line { fixed: Some(fixed(task)), ..line(task) };
    put(conn, sql, &sql.insert, written, new).await.map(drop)
}

/// Writes tasks back over the versions that were read, which are those before theirs.
pub async fn update(conn: &mut AnyConnection, sql: &Sql, written: &[Written]) -> sqlx::Result<()> {
    match update_unchanged(conn, sql, written).await?.len() == written.len() {
        true => Ok(()),
        false => Err(sqlx::Error::Protocol("a task changed while it was being changed".to_owned())),
    }
}

/// The same for those of them that nobody changed meanwhile; answers which.
pub async fn update_unchanged(
    conn: &mut AnyConnection,
    sql: &Sql,
    written: &[Written],
) -> sqlx::Result<HashSet<TaskId>> {
    put(conn, sql, &sql.update, written, line).await
}

/// Writes tasks and their histories, and tells the other nodes; answers which tasks were written.
async fn put<'a>(
    conn: &mut AnyConnection,
    sql: &Sql,
    to: &SqlStr,
    written: &'a [Written],
    line: impl Fn(&'a Task) -> Line<'a>,
) -> sqlx::Result<HashSet<TaskId>> {
    let tasks: Vec<_> = written.iter().map(|(task, _)| line(task)).collect();
    let statement = sqlx::query(to.clone()).bind(json(&tasks)?);
    let rows = match sql.dialect {
        Dialect::Sqlite => statement.fetch_all(&mut *conn).await?,
        Dialect::Postgres => {
            let say = |(task, change): &Written| Said {
                id: task.id.to_string(),
                word: hint::say(task, change.is_some(), &sql.source),
            };
            let said: Vec<_> = written.iter().map(say).collect();
            statement.bind(changes(written, |_| true)?).bind(json(&said)?).fetch_all(&mut *conn).await?
        }
    };
    let ids: HashSet<_> = rows.iter().map(row::id).collect::<sqlx::Result<_>>()?;
    if sql.dialect == Dialect::Sqlite && written.iter().any(|(_, change)| change.is_some()) {
        let changes = changes(written, |id| ids.contains(id))?;
        sqlx::query(sql.add_changes.clone()).bind(changes).execute(conn).await?;
    }
    Ok(ids)
}

/// The new lines in the histories of those tasks.
fn changes(written: &[Written], of: impl Fn(&TaskId) -> bool) -> sqlx::Result<String> {
    let written = written.iter().filter(|(task, _)| of(&task.id));
    let lines: Vec<_> = written.filter_map(|(task, change)| Some(change_line(task, change.as_ref()?))).collect();
    json(&lines)
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
