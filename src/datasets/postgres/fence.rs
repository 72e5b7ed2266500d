//! Taking over a staging: from then on no older epoch can commit to it.
//!
//! A run of an older epoch may be frozen at any point of a write. Up to its last statement it holds nothing but the right
//! to add rows to the staging's table, which is in nobody's way before the staging ends; its last statement, by which it
//! holds the staging's row, finds the newer epoch. So the row is waited for where an epoch is raised, the table where the
//! staging ends, both with patience; after that the connection in the way is ended.

use std::pin::pin;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row, Transaction};

use super::super::model::from_json;
use super::super::{Error, ImportPlan};
use super::schema::own_table;
use crate::task::TaskId;

/// How long a write of the run before may be in the way before its connection is ended: it may be frozen.
const PATIENCE: Duration = Duration::from_secs(3);

const RAISE: &str = "UPDATE pausa_datasets.staging SET epoch = $2 WHERE task = $1 AND epoch <= $2
    RETURNING cursor, rows, plan, published";

const HOLD: &str = "SELECT cursor, rows, plan, published FROM pausa_datasets.staging
    WHERE task = $1 AND epoch = $2 FOR UPDATE";

/// Ends the connections that `$1` waits for as long as they hold the row of a staging.
const END_HOLDERS: &str = "SELECT pg_terminate_backend(pid) FROM unnest(pg_blocking_pids($1)) AS pid WHERE pid > 0";

/// Ends the connections that `$1` waits for as they add rows to the table `$2`; those that only read it are others'.
const END_WRITERS: &str =
    "SELECT pg_terminate_backend(pid) FROM unnest(pg_blocking_pids($1)) AS other (pid) WHERE EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.pid = other.pid AND l.relation = to_regclass($2) AND l.mode = 'RowExclusiveLock')";

type OpenTransaction = Transaction<'static, Postgres>;

/// What the last commit left.
pub(super) struct StagingRow {
    pub(super) cursor: Option<String>,
    pub(super) rows: i64,
    pub(super) plan: ImportPlan,
    pub(super) published: bool,
}

/// Raises the epoch and answers the transaction that did so, still open: it holds the staging's row.
/// `None` where there is no staging.
pub(super) async fn take_over(
    pool: &PgPool,
    task: TaskId,
    epoch: i64,
) -> Result<Option<(OpenTransaction, StagingRow)>, Error> {
    let mut transaction = pool.begin().await?;
    let backend = backend(&mut transaction).await?;
    let raise = sqlx::query(RAISE).bind(task.to_string()).bind(epoch).fetch_optional(&mut *transaction);
    let end = sqlx::query(END_HOLDERS).bind(backend).execute(pool);
    if let Some(row) = patiently(raise, end).await? {
        return Ok(Some((transaction, read(&row)?)));
    }
    let newer = sqlx::query("SELECT 1 FROM pausa_datasets.staging WHERE task = $1").bind(task.to_string());
    match newer.fetch_optional(&mut *transaction).await? {
        Some(_) => Err(Error::LeaseLost),
        None => Ok(None),
    }
}

/// Takes over a staging whose end has come: nobody adds to its table any more, and the transaction holds both. The epoch
/// is raised first, in a transaction of its own, so that a write under way gives up instead of waiting for the row.
/// What is published has no end to come: its row is all that is held.
pub(super) async fn seize(
    pool: &PgPool,
    task: TaskId,
    epoch: i64,
) -> Result<Option<(OpenTransaction, StagingRow)>, Error> {
    let Some((transaction, held)) = take_over(pool, task, epoch).await? else {
        return Ok(None);
    };
    if held.published {
        return Ok(Some((transaction, held)));
    }
    transaction.commit().await?;
    let mut transaction = pool.begin().await?;
    lock(pool, &mut transaction, &own_table(&task.to_string())).await?;
    let hold = sqlx::query(HOLD).bind(task.to_string()).bind(epoch);
    let row = hold.fetch_optional(&mut *transaction).await?.ok_or(Error::LeaseLost)?;
    Ok(Some((transaction, read(&row)?)))
}

/// Locks the table, where it is there still, against all others.
async fn lock(pool: &PgPool, transaction: &mut OpenTransaction, table: &str) -> Result<(), Error> {
    let there = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table);
    if !there.fetch_one(&mut **transaction).await? {
        return Ok(());
    }
    let backend = backend(transaction).await?;
    let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    let lock = sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut **transaction);
    let end = sqlx::query(END_WRITERS).bind(backend).bind(table).execute(pool);
    patiently(lock, end).await?;
    Ok(())
}

async fn backend(transaction: &mut OpenTransaction) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut **transaction).await?)
}

/// Waits for `wanted`, and with it after `end` where it takes too long.
async fn patiently<T, E>(
    wanted: impl Future<Output = Result<T, sqlx::Error>>,
    end: impl Future<Output = Result<E, sqlx::Error>>,
) -> Result<T, Error> {
    let mut wanted = pin!(wanted);
    if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut wanted).await {
        return Ok(answer?);
    }
    end.await?;
    Ok(wanted.await?)
}

fn read(row: &PgRow) -> Result<StagingRow, Error> {
    let plan: String = row.try_get("plan")?;
    Ok(StagingRow {
        cursor: row.try_get("cursor")?,
        rows: row.try_get("rows")?,
        plan: from_json(&plan)?,
        published: row.try_get("published")?,
    })
}
