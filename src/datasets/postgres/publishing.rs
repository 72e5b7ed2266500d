//! Publishing: one transaction turns the staging into the table of a dataset, or adds its rows to one.

use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, PgConnection};

use super::super::identifiers::quoted;
use super::super::model::to_json;
use super::super::publication::PublishStep;
use super::super::{DatasetName, Error};
use super::PgConnections;
use super::fence::{self, StagingRow};
use super::listing::{self, CatalogEntry};
use super::schema::{ROW, names, own_table, run_statement};
use super::{in_time, indexing, rejects, retired};
use crate::task::TaskId;

/// Publishes the staging of a task and returns its rows. Changes nothing if that was done before.
pub(super) async fn publish(
    pool: &PgConnections,
    task: TaskId,
    epoch: i64,
    now: jiff::Timestamp,
) -> Result<u64, Error> {
    let taken_over = in_time(fence::take_over_to_end(pool, task, epoch)).await?;
    let (mut transaction, row) = taken_over.ok_or_else(Error::no_staging)?;
    if !row.published {
        // Counts and copies all rows, which has no time limit.
        let backend = in_time(fence::backend(&mut transaction)).await?;
        pool.while_working(backend, publish_rows(&mut transaction, task, &row, now).boxed()).await?;
    }
    in_time(transaction.commit()).await?;
    indexing::index_soon(pool);
    retired::sweep_soon(pool);
    Ok(row.rows.unsigned_abs())
}

async fn publish_rows(
    transaction: &mut PgConnection,
    task: TaskId,
    row: &StagingRow,
    now: jiff::Timestamp,
) -> Result<(), Error> {
    let existing = listing::find_for_update(transaction, &row.plan.dataset).await?;
    let steps = listing::steps(transaction, &row.plan, existing.as_ref()).await?;
    for step in steps {
        match (step, &existing) {
            (PublishStep::CreateFromStaging, _) => create(transaction, task, row, now).await?,
            (PublishStep::RetireExisting, Some(entry)) => retire(transaction, entry).await?,
            (PublishStep::AppendStaging { after }, Some(entry)) => {
                append(transaction, task, row, (entry, after)).await?;
                record_append(transaction, task, entry, now).await?;
            }
            (PublishStep::RetireExisting | PublishStep::AppendStaging { .. }, None) => {
                return Err(Error::Missing(row.plan.dataset.clone()));
            }
        }
    }
    rejects::drop_all(transaction, task).await?;
    let done = sqlx::query("UPDATE pausa_datasets.staging SET published = true WHERE task = $1");
    done.bind(task.to_string()).execute(transaction).await?;
    Ok(())
}

/// Fails unless the number of rows in a table, and the number of the last one, are the cursor's count.
async fn check_count(transaction: &mut PgConnection, table: &str, row: &StagingRow) -> Result<(), Error> {
    let sql = format!("SELECT count(*), coalesce(max({ROW}), 0) FROM {table}");
    let (count, last): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(transaction).await?;
    if count == row.rows && last == count {
        return Ok(());
    }
    Err(Error::row_count_mismatch(count.unsigned_abs(), row.rows.unsigned_abs()))
}

/// Moves the staging's table to the schema for datasets, under the dataset's name.
async fn create(
    transaction: &mut PgConnection,
    task: TaskId,
    row: &StagingRow,
    now: jiff::Timestamp,
) -> Result<(), Error> {
    let place: Option<String> = sqlx::query_scalar("SELECT current_schema()").fetch_one(&mut *transaction).await?;
    let place = place.ok_or_else(|| Error::Failed("the connection has no schema to create tables in".into()))?;
    let (name, own) = (&row.plan.dataset, task.to_string());
    let staging = own_table(&own);
    check_count(transaction, &staging, row).await?;
    run_statement(transaction, format!("ALTER TABLE {staging} RESET (autovacuum_enabled)")).await?;
    run_statement(transaction, format!("ALTER TABLE {staging} SET SCHEMA {}", quoted(&place))).await?;
    let moved = format!("{}.{}", quoted(&place), quoted(&own));
    run_statement(transaction, format!("ALTER TABLE {moved} RENAME TO {}", quoted(name.as_str()))).await?;
    let sql = "INSERT INTO pausa_datasets.dataset (name, place, relation, columns, rows, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)";
    let insert = sqlx::query(sql).bind(name.as_str()).bind(place).bind(own);
    let insert = insert.bind(to_json(&row.plan.columns)?).bind(row.rows).bind(now.to_string());
    insert.execute(transaction).await?;
    Ok(())
}

/// Copies the staged rows to the end of the table. Synchronized scans are off, so that rows are read in order.
async fn append(
    transaction: &mut PgConnection,
    task: TaskId,
    row: &StagingRow,
    (entry, after): (&CatalogEntry, u64),
) -> Result<(), Error> {
    let (table, staging) = (entry.table(), own_table(&task.to_string()));
    check_count(transaction, &staging, row).await?;
    let columns = names(&row.plan.columns).join(", ");
    run_statement(transaction, "SET LOCAL synchronize_seqscans = off".into()).await?;
    let insert = format!("INSERT INTO {table} ({ROW}, {columns}) SELECT {ROW} + {after}, {columns} FROM {staging}");
    run_statement(transaction, insert).await?;
    indexing::extend(transaction, &table).await?;
    retired::retire(transaction, ("pausa_datasets", &quoted(&task.to_string())), &format!("{task}-appended")).await?;
    let update = sqlx::query("UPDATE pausa_datasets.dataset SET rows = rows + $2 WHERE name = $1");
    update.bind(entry.dataset.name.as_str()).bind(row.rows).execute(transaction).await?;
    Ok(())
}

async fn record_append(
    transaction: &mut PgConnection,
    task: TaskId,
    entry: &CatalogEntry,
    now: jiff::Timestamp,
) -> Result<(), Error> {
    let insert = sqlx::query("INSERT INTO pausa_datasets.appended (relation, at, task) VALUES ($1, $2, $3)");
    let insert = insert.bind(&entry.relation).bind(now.as_microsecond()).bind(task.to_string());
    insert.execute(transaction).await?;
    Ok(())
}

/// Removes a dataset from the catalog and retires its table.
async fn retire(transaction: &mut PgConnection, entry: &CatalogEntry) -> Result<(), Error> {
    let name = entry.dataset.name.as_str();
    let delete = sqlx::query("DELETE FROM pausa_datasets.dataset WHERE name = $1");
    delete.bind(name).execute(&mut *transaction).await?;
    let delete = sqlx::query("DELETE FROM pausa_datasets.appended WHERE relation = $1");
    delete.bind(&entry.relation).execute(&mut *transaction).await?;
    retired::retire(transaction, (&entry.place, &quoted(name)), &entry.relation).await
}

/// Drops a dataset. Returns false if there is none.
pub(super) async fn drop_dataset(pool: &PgConnections, name: &DatasetName) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
    let Some(entry) = listing::find_for_update(&mut transaction, name).await? else {
        transaction.rollback().await?;
        return Ok(false);
    };
    retire(&mut transaction, &entry).await?;
    transaction.commit().await?;
    retired::sweep_soon(pool);
    Ok(true)
}

/// Deletes the record of a published import.
pub(super) async fn purge_import(pool: &PgConnections, task: TaskId) -> Result<(), Error> {
    let delete = sqlx::query("DELETE FROM pausa_datasets.staging WHERE task = $1 AND published");
    delete.bind(task.to_string()).execute(pool).await?;
    Ok(())
}
