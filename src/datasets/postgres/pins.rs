//! Snapshots: a table is not dropped while a pin holds it.

use sqlx::{PgConnection, PgPool, Row};

use super::super::model::{Part, from_json, to_json};
use super::super::{DatasetName, Error, Snapshot};
use super::listing;
use super::publishing::run;
use super::schema::own_table;
use crate::task::TaskId;

/// Holds the dataset as it stands for the task, or answers what the task holds already.
pub(super) async fn pin(pool: &PgPool, task: TaskId, name: &DatasetName) -> Result<Snapshot, Error> {
    let mut transaction = pool.begin().await?;
    if let Some(snapshot) = pinned(&mut transaction, task).await? {
        return Ok(snapshot);
    }
    let entry = listing::shared(&mut transaction, name).await?;
    let entry = entry.ok_or_else(|| Error::Missing(name.clone()))?;
    let (columns, rows) = (entry.dataset.columns, entry.dataset.rows);
    let sql = "INSERT INTO pausa_datasets.pin (task, relation, columns, rows) VALUES ($1, $2, $3, $4)";
    let insert = sqlx::query(sql).bind(task.to_string()).bind(&entry.relation).bind(to_json(&columns)?);
    insert.bind(i64::try_from(rows).unwrap_or(i64::MAX)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    let part = Part { place: entry.relation, table: String::new(), first: 1, rows };
    Ok(Snapshot { columns, rows, task, parts: vec![part] })
}

async fn pinned(transaction: &mut PgConnection, task: TaskId) -> Result<Option<Snapshot>, Error> {
    let query = sqlx::query("SELECT relation, columns, rows FROM pausa_datasets.pin WHERE task = $1");
    let Some(row) = query.bind(task.to_string()).fetch_optional(transaction).await? else {
        return Ok(None);
    };
    let rows = row.try_get::<i64, _>("rows")?.unsigned_abs();
    let part = Part { place: row.try_get("relation")?, table: String::new(), first: 1, rows };
    let columns = from_json(&row.try_get::<String, _>("columns")?)?;
    Ok(Some(Snapshot { columns, rows, task, parts: vec![part] }))
}

/// The table that a snapshot reads, quoted; it stays there until the transaction ends.
pub(super) async fn table(transaction: &mut PgConnection, snapshot: &Snapshot) -> Result<String, Error> {
    let relation = snapshot.parts.first().map(|part| part.place.as_str()).unwrap_or_default();
    let sql = "SELECT place, name FROM pausa_datasets.dataset WHERE relation = $1 FOR SHARE";
    let listed: Option<(String, String)> = sqlx::query_as(sql).bind(relation).fetch_optional(transaction).await?;
    let Some((place, name)) = listed else {
        return Ok(own_table(relation));
    };
    let name = name.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))?;
    Ok(listing::table(&place, &name))
}

/// Lets go of what the task holds, and drops a retired table where it was the last to hold it.
pub(super) async fn unpin(pool: &PgPool, task: TaskId) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    let delete = sqlx::query_scalar("DELETE FROM pausa_datasets.pin WHERE task = $1 RETURNING relation");
    let relation: Option<String> = delete.bind(task.to_string()).fetch_optional(&mut *transaction).await?;
    if let Some(relation) = relation {
        drop_retired(&mut transaction, &relation).await?;
    }
    Ok(transaction.commit().await?)
}

/// Of several that let go at once, the last one sees that it is.
async fn drop_retired(transaction: &mut PgConnection, relation: &str) -> Result<(), Error> {
    let retired = sqlx::query("SELECT 1 FROM pausa_datasets.retired WHERE relation = $1 FOR UPDATE");
    if retired.bind(relation).fetch_optional(&mut *transaction).await?.is_none() {
        return Ok(());
    }
    let delete = sqlx::query(
        "DELETE FROM pausa_datasets.retired WHERE relation = $1
         AND NOT EXISTS (SELECT 1 FROM pausa_datasets.pin WHERE relation = $1)",
    );
    if delete.bind(relation).execute(&mut *transaction).await?.rows_affected() > 0 {
        run(transaction, format!("DROP TABLE IF EXISTS {}", own_table(relation))).await?;
    }
    Ok(())
}
