//! Tasks read out of rows.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::sql::Sql;
use crate::task::{
    IdempotencyKey, PauseExpiry, Progress, ResultFile, StateChange, Task, TaskError, TaskId, Unit, Verb,
};

/// Reads the task out of a row of [`super::sql::select`].
pub fn task(row: &AnyRow) -> sqlx::Result<Task> {
    Ok(Task {
        id: id(row)?,
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
        due_since: moment_if(row, "due_since")?,
        expiry: expiry(row)?,
        unique_key: row.try_get("exclusive")?,
        idempotency_key: idempotency_key(row)?,
        upload: row.try_get("upload_id")?,
        concurrency_key: row.try_get("lane")?,
        trace_parent: row.try_get("trace_parent")?,
    })
}

fn idempotency_key(row: &AnyRow) -> sqlx::Result<Option<IdempotencyKey>> {
    let Some(text) = row.try_get("idempotency_key")? else { return Ok(None) };
    Ok(Some(IdempotencyKey { text, input_sha256: row.try_get("input_sha256")? }))
}

/// The id in a row.
pub fn id(row: &AnyRow) -> sqlx::Result<TaskId> {
    parsed(row, "id")
}

/// Reads a line of the history out of a row of [`super::sql::HISTORY`].
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

/// The task of that id, locked until the transaction ends.
pub async fn locked(conn: &mut AnyConnection, sql: &Sql, id: TaskId) -> sqlx::Result<Option<Task>> {
    let row = sqlx::query(sql.get_locked.clone()).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(task).transpose()
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
    Ok(code.zip(message).map(|(code, message)| TaskError { code: code.as_str().into(), message }))
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

/// The value of a column that holds its name.
pub fn parsed<T>(row: &AnyRow, column: &str) -> sqlx::Result<T>
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
