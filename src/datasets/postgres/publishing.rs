//! Where an import ends: its staging becomes a dataset's table, or the end of one, in one transaction.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::super::identifiers::quoted;
use super::super::model::to_json;
use super::super::{DatasetName, Error, PublishMode};
use super::fence::{self, StagingRow};
use super::listing::{self, CatalogEntry};
use super::schema::{ROW, names, own_table};
use super::{indexing, rejects, retired};
use crate::task::TaskId;

/// Publishes the staging of a task; where that was done before, nothing changes.
pub(super) async fn publish(pool: &PgPool, task: TaskId, epoch: i64, now: jiff::Timestamp) -> Result<u64, Error> {
    let taken_over = fence::seize(pool, task, epoch).await?;
    let (mut transaction, held) = taken_over.ok_or_else(Error::no_staging)?;
    if !held.published {
        let existing = listing::locked(&mut transaction, &held.plan.dataset).await?;
        listing::check_beside(&mut transaction, &held.plan, existing.as_ref()).await?;
        match (held.plan.mode, existing) {
            (PublishMode::Append, Some(entry)) => append(&mut transaction, task, &held, &entry).await?,
            (_, existing) => {
                if let Some(entry) = existing {
                    retire(&mut transaction, &entry).await?;
                }
                make(&mut transaction, task, &held, now).await?;
            }
        }
        rejects::drop_all(&mut transaction, task).await?;
        let done = sqlx::query("UPDATE pausa_datasets.staging SET published = true WHERE task = $1");
        done.bind(task.to_string()).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    indexing::index_soon(pool);
    retired::sweep_soon(pool);
    Ok(held.rows.unsigned_abs())
}

/// Counts the rows of a table, and compares that and the last one's number with the cursor's count.
async fn count(transaction: &mut PgConnection, table: &str, held: &StagingRow) -> Result<(), Error> {
    let sql = format!("SELECT count(*), coalesce(max({ROW}), 0) FROM {table}");
    let (count, last): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(transaction).await?;
    if count == held.rows && last == count {
        return Ok(());
    }
    Err(Error::miscounted(count.unsigned_abs(), held.rows.unsigned_abs()))
}

/// Moves the staging's table to where datasets are.
async fn make(
    transaction: &mut PgConnection,
    task: TaskId,
    held: &StagingRow,
    now: jiff::Timestamp,
) -> Result<(), Error> {
    let place: Option<String> = sqlx::query_scalar("SELECT current_schema()").fetch_one(&mut *transaction).await?;
    let place = place.ok_or_else(|| Error::Failed("the connection has no schema to make tables in".into()))?;
    let (name, own) = (&held.plan.dataset, task.to_string());
    let staging = own_table(&own);
    count(transaction, &staging, held).await?;
    run(transaction, format!("ALTER TABLE {staging} RESET (autovacuum_enabled)")).await?;
    run(transaction, format!("ALTER TABLE {staging} SET SCHEMA {}", quoted(&place))).await?;
    let moved = format!("{}.{}", quoted(&place), quoted(&own));
    run(transaction, format!("ALTER TABLE {moved} RENAME TO {}", quoted(name.as_str()))).await?;
    let sql = "INSERT INTO pausa_datasets.dataset (name, place, relation, columns, rows, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)";
    let insert = sqlx::query(sql).bind(name.as_str()).bind(place).bind(own);
    let insert = insert.bind(to_json(&held.plan.columns)?).bind(held.rows).bind(now.to_string());
    insert.execute(transaction).await?;
    Ok(())
}

/// Copies the staged rows to the end of the table. Without synchronised scans they are read in their order.
async fn append(
    transaction: &mut PgConnection,
    task: TaskId,
    held: &StagingRow,
    entry: &CatalogEntry,
) -> Result<(), Error> {
    let (table, staging) = (entry.table(), own_table(&task.to_string()));
    count(transaction, &staging, held).await?;
    let columns = names(&held.plan.columns).join(", ");
    run(transaction, "SET LOCAL synchronize_seqscans = off".into()).await?;
    let before = entry.dataset.rows;
    let insert = format!("INSERT INTO {table} ({ROW}, {columns}) SELECT {ROW} + {before}, {columns} FROM {staging}");
    run(transaction, insert).await?;
    indexing::extend(transaction, &table).await?;
    retired::retire(transaction, ("pausa_datasets", &quoted(&task.to_string())), &format!("{task}-appended")).await?;
    let update = sqlx::query("UPDATE pausa_datasets.dataset SET rows = rows + $2 WHERE name = $1");
    update.bind(entry.dataset.name.as_str()).bind(held.rows).execute(transaction).await?;
    Ok(())
}

/// Takes a dataset off the list, and its table away.
async fn retire(transaction: &mut PgConnection, entry: &CatalogEntry) -> Result<(), Error> {
    let name = entry.dataset.name.as_str();
    let delete = sqlx::query("DELETE FROM pausa_datasets.dataset WHERE name = $1");
    delete.bind(name).execute(&mut *transaction).await?;
    retired::retire(transaction, (&entry.place, &quoted(name)), &entry.relation).await
}

/// Takes a dataset away; false where there was none.
pub(super) async fn drop_dataset(pool: &PgPool, name: &DatasetName) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
    let Some(entry) = listing::locked(&mut transaction, name).await? else {
        return Ok(false);
    };
    retire(&mut transaction, &entry).await?;
    transaction.commit().await?;
    retired::sweep_soon(pool);
    Ok(true)
}

/// Drops the record of a task that published.
pub(super) async fn purge_import(pool: &PgPool, task: TaskId) -> Result<(), Error> {
    let delete = sqlx::query("DELETE FROM pausa_datasets.staging WHERE task = $1 AND published");
    delete.bind(task.to_string()).execute(pool).await?;
    Ok(())
}

/// Runs a statement whose identifiers are quoted.
pub(super) async fn run(connection: &mut PgConnection, sql: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
