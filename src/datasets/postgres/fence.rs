//! Taking over a staging: from then on no older epoch can write to it.

use std::pin::pin;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, Row, Transaction};

use super::super::model::from_json;
use super::super::{Error, Plan};
use crate::task::TaskId;

/// How long a write of the run before may hold the staging before its connection is ended: it may be frozen.
const PATIENCE: Duration = Duration::from_secs(3);

const TAKE_OVER: &str = "UPDATE pausa_datasets.staging SET epoch = $2 WHERE task = $1 AND epoch <= $2
    RETURNING cursor, rows, plan, published";

/// What the last commit left.
pub(super) struct Held {
    pub(super) cursor: Option<String>,
    pub(super) rows: i64,
    pub(super) plan: Plan,
    pub(super) published: bool,
}

/// Raises the epoch and answers the transaction that did so, still open: it holds the staging.
/// `None` where there is no staging.
pub(super) async fn take_over(
    pool: &PgPool,
    task: TaskId,
    epoch: i64,
) -> Result<Option<(Transaction<'static, Postgres>, Held)>, Error> {
    let mut transaction = pool.begin().await?;
    if let Some(row) = raise(pool, &mut transaction, task, epoch).await? {
        return Ok(Some((transaction, held(&row)?)));
    }
    let newer = sqlx::query("SELECT 1 FROM pausa_datasets.staging WHERE task = $1").bind(task.to_string());
    match newer.fetch_optional(&mut *transaction).await? {
        Some(_) => Err(Error::LeaseLost),
        None => Ok(None),
    }
}

async fn raise(
    pool: &PgPool,
    transaction: &mut Transaction<'static, Postgres>,
    task: TaskId,
    epoch: i64,
) -> Result<Option<PgRow>, Error> {
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut **transaction).await?;
    let update = sqlx::query(TAKE_OVER).bind(task.to_string()).bind(epoch);
    let mut update = pin!(update.fetch_optional(&mut **transaction));
    if let Ok(found) = tokio::time::timeout(PATIENCE, &mut update).await {
        return Ok(found?);
    }
    end_blockers(pool, backend).await?;
    Ok(update.await?)
}

/// Ends the connections that `backend` waits for, and with them their transactions.
async fn end_blockers(pool: &PgPool, backend: i32) -> Result<(), Error> {
    let sql = "SELECT pg_terminate_backend(pid) FROM unnest(pg_blocking_pids($1)) AS pid WHERE pid > 0";
    sqlx::query(sql).bind(backend).execute(pool).await?;
    Ok(())
}

fn held(row: &PgRow) -> Result<Held, Error> {
    let plan: String = row.try_get("plan")?;
    Ok(Held {
        cursor: row.try_get("cursor")?,
        rows: row.try_get("rows")?,
        plan: from_json(&plan)?,
        published: row.try_get("published")?,
    })
}
