//! Snapshots: a pinned table is not dropped.

use sqlx::{PgConnection, Row};

use super::super::model::{SnapshotPart, from_json, to_json};
use super::super::{DatasetName, Error, PIN_LIFE, PinHolder, Snapshot};
use super::PgConnections;
use super::schema::own_table;
use super::{listing, retired};

/// Pins the current state of the dataset for the holder. Returns the earlier snapshot if the holder has one.
pub(super) async fn pin(pool: &PgConnections, holder: PinHolder, name: &DatasetName) -> Result<Snapshot, Error> {
    sweep(pool).await?;
    let mut transaction = pool.begin().await?;
    if let Some(snapshot) = pinned(&mut transaction, holder).await? {
        transaction.rollback().await?;
        return Ok(snapshot);
    }
    let Some(entry) = listing::find_for_share(&mut transaction, name).await? else {
        transaction.rollback().await?;
        return Err(Error::Missing(name.clone()));
    };
    let (columns, rows) = (entry.dataset.columns, entry.dataset.rows);
    let sql = "INSERT INTO pausa_datasets.pin (holder, relation, columns, rows, expires)
        VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')";
    let insert = sqlx::query(sql).bind(holder.to_string()).bind(&entry.relation).bind(to_json(&columns)?);
    let insert = insert.bind(i64::try_from(rows).unwrap_or(i64::MAX)).bind(life(holder));
    insert.execute(&mut *transaction).await?;
    transaction.commit().await?;
    let part = SnapshotPart { container: entry.relation, table: String::new(), first: 1, rows };
    Ok(Snapshot { columns, rows, parts: vec![part] })
}

/// Returns the lifetime of a pin in seconds. The pin of a task does not expire.
fn life(holder: PinHolder) -> Option<f64> {
    matches!(holder, PinHolder::Stream(_)).then(|| PIN_LIFE.as_secs_f64())
}

/// Renews the pin of a stream.
pub(super) async fn renew(pool: &PgConnections, holder: PinHolder) -> Result<(), Error> {
    let sql = "UPDATE pausa_datasets.pin SET expires = now() + $2 * interval '1 second' WHERE holder = $1";
    let renewed = sqlx::query(sql).bind(holder.to_string()).bind(life(holder)).execute(pool).await?;
    if renewed.rows_affected() > 0 { Ok(()) } else { Err(Error::pin_expired()) }
}

/// Releases the expired pins, which are those of streams whose node ended.
async fn sweep(pool: &PgConnections) -> Result<(), Error> {
    let sql = "DELETE FROM pausa_datasets.pin WHERE expires < now() RETURNING relation";
    let mut transaction = pool.begin().await?;
    let relations: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *transaction).await?;
    for relation in &relations {
        retired::drop_small(&mut transaction, relation).await?;
    }
    transaction.commit().await?;
    if !relations.is_empty() {
        retired::sweep_soon(pool);
    }
    Ok(())
}

async fn pinned(transaction: &mut PgConnection, holder: PinHolder) -> Result<Option<Snapshot>, Error> {
    let query = sqlx::query("SELECT relation, columns, rows FROM pausa_datasets.pin WHERE holder = $1");
    let Some(row) = query.bind(holder.to_string()).fetch_optional(transaction).await? else {
        return Ok(None);
    };
    let rows = row.try_get::<i64, _>("rows")?.unsigned_abs();
    let part = SnapshotPart { container: row.try_get("relation")?, table: String::new(), first: 1, rows };
    let columns = from_json(&row.try_get::<String, _>("columns")?)?;
    Ok(Some(Snapshot { columns, rows, parts: vec![part] }))
}

/// Returns the table that a snapshot reads, quoted. A lock on the table keeps it there. The dataset's row is not
/// locked, because that would cost a disk sync per page.
pub(super) async fn find_table(connection: &mut PgConnection, snapshot: &Snapshot) -> Result<String, Error> {
    let relation = snapshot.parts.first().map(|part| part.container.as_str()).unwrap_or_default();
    let sql = "SELECT place, name FROM pausa_datasets.dataset WHERE relation = $1";
    let found: Option<(String, String)> = sqlx::query_as(sql).bind(relation).fetch_optional(connection).await?;
    let Some((place, name)) = found else { return Ok(own_table(relation)) };
    let name = name.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))?;
    Ok(listing::table(&place, &name))
}

/// Releases the pin of the holder. Drops a retired table if this was its last pin.
pub(super) async fn unpin(pool: &PgConnections, holder: PinHolder) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    let delete = sqlx::query_scalar("DELETE FROM pausa_datasets.pin WHERE holder = $1 RETURNING relation");
    let relation: Option<String> = delete.bind(holder.to_string()).fetch_optional(&mut *transaction).await?;
    if let Some(relation) = relation {
        retired::drop_small(&mut transaction, &relation).await?;
    }
    transaction.commit().await?;
    retired::sweep_soon(pool);
    Ok(())
}
