//! A task as a row: read, bound, saved.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Row};

use super::sql::{self, Dialect, Sql};
use crate::task::{PauseExpiry, Progress, ResultFile, StateChange, Task, TaskError, TaskId, Unit, Verb};

type Statement<'q> = Query<'q, Any, AnyArguments>;

/// Reads the task out of a row of [`sql::COLUMNS`].
pub fn task(row: &AnyRow) -> sqlx::Result<Task> {
    Ok(Task {
        id: parsed(row, "id")?,
        kind: row.try_get("kind")?,
        state: parsed(row, "state")?,
        epoch: row.try_get("epoch")?,
        version: row.try_get("version")?,
        owner: row.try_get("owner")?,
        label: row.try_get("label")?,
        spec: row.try_get("spec")?,
        cursor: row.try_get("cursor")?,
        progress: progress(row)?,
        attempt: count(row, "attempt")?,
        crashes: count(row, "crashes")?,
        failures: count(row, "failures")?,
        error: error(row)?,
        result: result(row)?,
        created_at: moment(row, "created_at")?,
        start_at: moment_if(row, "start_at")?,
        started_at: moment_if(row, "started_at")?,
        finished_at: moment_if(row, "finished_at")?,
        paused_at: moment_if(row, "paused_at")?,
        due_at: moment_if(row, "due_at")?,
        expiry: expiry(row)?,
        exclusive: row.try_get("exclusive")?,
        idempotency_key: row.try_get("idempotency_key")?,
        upload: row.try_get("upload_id")?,
    })
}

/// Reads a line of the history out of a row of [`sql::HISTORY`].
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

/// Writes a new task and the first line of its history.
pub async fn insert(conn: &mut AnyConnection, sql: &Sql, task: &Task, first: &StateChange) -> sqlx::Result<()> {
    bind(sqlx::query(sql.insert.clone()), task).execute(&mut *conn).await?;
    add_change(conn, task, first).await?;
    announce(conn, sql, task, true).await
}

/// Writes a task back over the version that was read, with the line of its history.
pub async fn save(
    conn: &mut AnyConnection,
    sql: &Sql,
    task: &mut Task,
    change: Option<&StateChange>,
) -> sqlx::Result<()> {
    let read = task.version;
    task.version += 1;
    let done = bind(sqlx::query(sql.update.clone()), task).bind(read).execute(&mut *conn).await?;
    if done.rows_affected() != 1 {
        return Err(sqlx::Error::Protocol(format!("task {} changed while it was being changed", task.id)));
    }
    if let Some(change) = change {
        add_change(conn, task, change).await?;
    }
    announce(conn, sql, task, change.is_some()).await
}

/// The task of that id, locked until the transaction ends.
pub async fn locked(conn: &mut AnyConnection, sql: &Sql, id: TaskId) -> sqlx::Result<Option<Task>> {
    let row = sqlx::query(sql.get_locked.clone()).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(task).transpose()
}

async fn add_change(conn: &mut AnyConnection, task: &Task, change: &StateChange) -> sqlx::Result<()> {
    sqlx::query(sql::ADD_CHANGE)
        .bind(task.id.to_string())
        .bind(task.version)
        .bind(change.from.map(|state| state.as_str().to_owned()))
        .bind(change.to.as_str().to_owned())
        .bind(change.at.as_microsecond())
        .bind(change.by.clone())
        .bind(change.reason.clone())
        .execute(conn)
        .await?;
    Ok(())
}

/// Tells the other nodes, as the transaction commits.
async fn announce(conn: &mut AnyConnection, sql: &Sql, task: &Task, state_changed: bool) -> sqlx::Result<()> {
    if sql.dialect == Dialect::Postgres {
        sqlx::query(sql::NOTIFY)
            .bind(format!("{} {} {state_changed} {}", task.id, task.version, sql.source))
            .fetch_all(conn)
            .await?;
    }
    Ok(())
}

fn bind<'q>(query: Statement<'q>, task: &Task) -> Statement<'q> {
    let query = query
        .bind(task.id.to_string())
        .bind(task.kind.clone())
        .bind(task.state.as_str().to_owned())
        .bind(task.epoch)
        .bind(task.version)
        .bind(task.owner.clone())
        .bind(task.label.clone())
        .bind(task.spec.clone())
        .bind(task.cursor.clone());
    let query = bind_progress(query, &task.progress)
        .bind(i64::from(task.attempt))
        .bind(i64::from(task.crashes))
        .bind(i64::from(task.failures))
        .bind(task.error.as_ref().map(|error| error.code.clone()))
        .bind(task.error.as_ref().map(|error| error.message.clone()));
    bind_times(bind_result(query, task.result.as_ref()), task)
        .bind(task.expiry.map(|expiry| expiry.at.as_microsecond()))
        .bind(task.expiry.map(|expiry| expiry.then.as_str().to_owned()))
        .bind(task.exclusive.clone())
        .bind(task.idempotency_key.clone())
        .bind(task.upload.clone())
}

fn bind_progress<'q>(query: Statement<'q>, progress: &Progress) -> Statement<'q> {
    query
        .bind(progress.phase.clone())
        .bind(progress.unit.as_str().to_owned())
        .bind(signed(progress.done))
        .bind(progress.total.map(signed))
        .bind(i64::try_from(progress.active.as_micros()).unwrap_or(i64::MAX))
        .bind(progress.updated_at.as_microsecond())
}

fn bind_result<'q>(query: Statement<'q>, result: Option<&ResultFile>) -> Statement<'q> {
    query
        .bind(result.map(|file| file.name.clone()))
        .bind(result.map(|file| signed(file.size)))
        .bind(result.map(|file| file.content_type.clone()))
        .bind(result.map(|file| file.sha256.clone()))
}

fn bind_times<'q>(query: Statement<'q>, task: &Task) -> Statement<'q> {
    let times = [task.start_at, task.started_at, task.finished_at, task.paused_at, task.due_at];
    times
        .into_iter()
        .fold(query.bind(task.created_at.as_microsecond()), |query, at| query.bind(at.map(|at| at.as_microsecond())))
}

fn progress(row: &AnyRow) -> sqlx::Result<Progress> {
    let unit: String = row.try_get("unit")?;
    Ok(Progress {
        phase: row.try_get("phase")?,
        unit: Unit::ALL
            .into_iter()
            .find(|known| known.as_str() == unit)
            .ok_or_else(|| sqlx::Error::Decode(format!("{unit:?} is no unit").into()))?,
        done: unsigned(row.try_get("done")?),
        total: row.try_get::<Option<i64>, _>("total")?.map(unsigned),
        active: Duration::from_micros(unsigned(row.try_get("active")?)),
        updated_at: moment(row, "progress_at")?,
    })
}

fn error(row: &AnyRow) -> sqlx::Result<Option<TaskError>> {
    let code: Option<String> = row.try_get("error_code")?;
    let message: Option<String> = row.try_get("error_message")?;
    Ok(code.zip(message).map(|(code, message)| TaskError { code, message }))
}

fn result(row: &AnyRow) -> sqlx::Result<Option<ResultFile>> {
    let Some(name) = row.try_get("result_name")? else { return Ok(None) };
    Ok(Some(ResultFile {
        name,
        size: unsigned(row.try_get("result_size")?),
        content_type: row.try_get("result_type")?,
        sha256: row.try_get("result_sha256")?,
    }))
}

fn expiry(row: &AnyRow) -> sqlx::Result<Option<PauseExpiry>> {
    let then: Option<String> = row.try_get("expire_then")?;
    let then = then.and_then(|name| Verb::ALL.into_iter().find(|verb| verb.as_str() == name));
    let at = moment_if(row, "expires_at")?;
    Ok(at.zip(then).map(|(at, then)| PauseExpiry { at, then }))
}

fn parsed<T>(row: &AnyRow, column: &str) -> sqlx::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.try_get::<String, _>(column)?.parse().map_err(decode)
}

/// The moment in a column of microseconds.
pub fn moment(row: &AnyRow, column: &str) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(decode)
}

/// The moment in a column of microseconds that may be null.
pub fn moment_if(row: &AnyRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
    let at: Option<i64> = row.try_get(column)?;
    at.map(|at| Timestamp::from_microsecond(at).map_err(decode)).transpose()
}

fn count(row: &AnyRow, column: &str) -> sqlx::Result<u32> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(decode)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

/// Counts stay below 2^53 by the API's own limit.
pub fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A CHECK keeps counts from being negative.
pub fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
