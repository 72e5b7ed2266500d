//! Takes over a staging: afterwards no older epoch can commit to it.
//!
//! A run of an older epoch may be frozen at any point of a write. Until its last statement it only has a lock for
//! adding rows to the staging's table. This lock blocks no other transaction until the staging ends. Its last statement locks the
//! staging's row, and finds the newer epoch. So raising an epoch waits for the row, and ending a staging waits for the
//! table. Both wait for a limited time; then the blocking connection is terminated.

use std::pin::pin;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::super::model::from_json;
use super::super::{Error, ImportPlan};
use super::PgConnections;
use super::schema::own_table;
use crate::database::OpenTransaction;
use crate::task::TaskId;

/// Maximum wait for a write of the previous run, which may be frozen. Then its connection is terminated.
const PATIENCE: Duration = Duration::from_secs(3);

const RAISE: &str = "UPDATE pausa_datasets.staging SET epoch = $2 WHERE task = $1 AND epoch <= $2
    RETURNING cursor, rows, plan, published";

const HOLD: &str = "SELECT cursor, rows, plan, published FROM pausa_datasets.staging
    WHERE task = $1 AND epoch = $2 FOR UPDATE";

/// Terminates the connections that `$1` waits for. They have locked the row of a staging.
const END_HOLDERS: &str = "SELECT pg_terminate_backend(pid) FROM unnest(pg_blocking_pids($1)) AS pid WHERE pid > 0";

/// Terminates the connections that `$1` waits for and that add rows to the table `$2`. Connections that only read it
/// belong to others.
const END_WRITERS: &str =
    "SELECT pg_terminate_backend(pid) FROM unnest(pg_blocking_pids($1)) AS other (pid) WHERE EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.pid = other.pid AND l.relation = to_regclass($2) AND l.mode = 'RowExclusiveLock')";

/// State after the last commit.
pub(super) struct StagingRow {
    pub(super) cursor: Option<String>,
    pub(super) rows: i64,
    pub(super) plan: ImportPlan,
    pub(super) published: bool,
}

/// Raises the epoch. Returns the open transaction that did it, which has locked the staging's row. `None` if there is
/// no staging.
pub(super) async fn take_over(
    pool: &PgConnections,
    task: TaskId,
    epoch: i64,
) -> Result<Option<(OpenTransaction, StagingRow)>, Error> {
    let mut transaction = pool.begin().await?;
    let backend = backend(&mut transaction).await?;
    let raise = sqlx::query(RAISE).bind(task.to_string()).bind(epoch).fetch_optional(&mut *transaction);
    let end = sqlx::query(END_HOLDERS).bind(backend).execute(pool);
    if let Some(row) = with_patience(raise, end).await? {
        return Ok(Some((transaction, staging_row(&row)?)));
    }
    let newer = sqlx::query("SELECT 1 FROM pausa_datasets.staging WHERE task = $1").bind(task.to_string());
    let newer = newer.fetch_optional(&mut *transaction).await?;
    transaction.rollback().await?;
    if newer.is_some() { Err(Error::LeaseLost) } else { Ok(None) }
}

/// Takes over a staging in order to end it. The returned transaction has locked its row and its table, so no run adds
/// rows.
/// The epoch is raised first, in a separate transaction, so that an active write fails instead of waiting for the row.
/// A published staging does not end: only its row is locked.
pub(super) async fn take_over_to_end(
    pool: &PgConnections,
    task: TaskId,
    epoch: i64,
) -> Result<Option<(OpenTransaction, StagingRow)>, Error> {
    let Some((transaction, row)) = take_over(pool, task, epoch).await? else {
        return Ok(None);
    };
    if row.published {
        return Ok(Some((transaction, row)));
    }
    transaction.commit().await?;
    let mut transaction = pool.begin().await?;
    lock(pool, &mut transaction, &own_table(&task.to_string())).await?;
    let hold = sqlx::query(HOLD).bind(task.to_string()).bind(epoch);
    let row = hold.fetch_optional(&mut *transaction).await?.ok_or(Error::LeaseLost)?;
    Ok(Some((transaction, staging_row(&row)?)))
}

/// Locks the table exclusively, if it still exists.
async fn lock(pool: &PgConnections, transaction: &mut OpenTransaction, table: &str) -> Result<(), Error> {
    let there = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table);
    if !there.fetch_one(&mut **transaction).await? {
        return Ok(());
    }
    let backend = backend(transaction).await?;
    let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    let lock = sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut **transaction);
    let end = sqlx::query(END_WRITERS).bind(backend).bind(table).execute(pool);
    with_patience(lock, end).await?;
    Ok(())
}

/// Returns the process ID of the connection.
pub(super) async fn backend(connection: &mut PgConnection) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await?)
}

/// Waits for `wanted`. If that exceeds [`PATIENCE`], runs `end` and continues to wait.
async fn with_patience<T, E>(
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

fn staging_row(row: &PgRow) -> Result<StagingRow, Error> {
    let plan: String = row.try_get("plan")?;
    Ok(StagingRow {
        cursor: row.try_get("cursor")?,
        rows: row.try_get("rows")?,
        plan: from_json(&plan)?,
        published: row.try_get("published")?,
    })
}
