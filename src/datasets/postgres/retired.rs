//! Retired tables ([`Retirement`]): those that only pins read, and large ones, which are dropped in the background. The
//! server deletes the files of a table when it commits the drop, which takes longer the larger they are.

use futures_util::FutureExt;
use sqlx::PgConnection;

use super::super::Error;
use super::super::identifiers::quoted;
use super::super::publication::Retirement;
use super::PgConnections;
use super::schema::own_table;
use super::schema::run_statement;
use super::{fence, in_time, soon};

/// Size from which a table is dropped in the background, in bytes.
const LARGE: i64 = 64 << 20;

const PINNED: &str = "SELECT EXISTS (SELECT 1 FROM pausa_datasets.pin WHERE relation = $1)";

/// Drops a table (quoted, in the schema `place`), or sets it aside under the unused name `relation`.
pub(super) async fn retire(
    transaction: &mut PgConnection,
    (place, table): (&str, &str),
    relation: &str,
) -> Result<(), Error> {
    let pinned: bool = sqlx::query_scalar(PINNED).bind(relation).fetch_one(&mut *transaction).await?;
    let full = format!("{}.{table}", quoted(place));
    let slow_to_drop = !pinned && is_large(transaction, &full).await?;
    if Retirement::of(pinned, slow_to_drop) == Retirement::DropNow {
        return run_statement(transaction, format!("DROP TABLE IF EXISTS {full}")).await;
    }
    let own = quoted(relation);
    run_statement(transaction, format!("ALTER TABLE {full} RENAME TO {own}")).await?;
    if place != "pausa_datasets" {
        run_statement(transaction, format!("ALTER TABLE {}.{own} SET SCHEMA pausa_datasets", quoted(place))).await?;
    }
    let insert = sqlx::query("INSERT INTO pausa_datasets.retired (relation) VALUES ($1)").bind(relation);
    insert.execute(transaction).await?;
    Ok(())
}

/// Drops a retired table unless it is pinned or large. If several pins are released at once, the last one drops it.
pub(super) async fn drop_small(transaction: &mut PgConnection, relation: &str) -> Result<(), Error> {
    match is_large(transaction, &own_table(relation)).await? {
        true => Ok(()),
        false => drop_free(transaction, relation).await,
    }
}

/// Drops retired tables without a pin in the background.
pub(super) fn sweep_soon(pool: &PgConnections) {
    soon(pool, "could not drop unused tables; the next start retries", sweep(pool.clone()));
}

async fn sweep(pool: PgConnections) -> Result<(), Error> {
    let free = "SELECT relation FROM pausa_datasets.retired r
        WHERE NOT EXISTS (SELECT 1 FROM pausa_datasets.pin p WHERE p.relation = r.relation)";
    let relations: Vec<String> = sqlx::query_scalar(free).fetch_all(&pool).await?;
    for relation in relations {
        let mut transaction = pool.begin().await?;
        // The server deletes large files when it commits, which has no time limit.
        let backend = in_time(fence::backend(&mut transaction)).await?;
        let dropping = async {
            drop_free(&mut transaction, &relation).await?;
            Ok::<(), Error>(transaction.commit().await?)
        };
        pool.while_working(backend, dropping.boxed()).await?;
    }
    Ok(())
}

async fn drop_free(transaction: &mut PgConnection, relation: &str) -> Result<(), Error> {
    let retired = sqlx::query("SELECT 1 FROM pausa_datasets.retired WHERE relation = $1 FOR UPDATE");
    if retired.bind(relation).fetch_optional(&mut *transaction).await?.is_none() {
        return Ok(());
    }
    let delete = sqlx::query(
        "DELETE FROM pausa_datasets.retired WHERE relation = $1
         AND NOT EXISTS (SELECT 1 FROM pausa_datasets.pin WHERE relation = $1)",
    );
    if delete.bind(relation).execute(&mut *transaction).await?.rows_affected() > 0 {
        run_statement(transaction, format!("DROP TABLE IF EXISTS {}", own_table(relation))).await?;
    }
    Ok(())
}

/// Returns true if a table has [`LARGE`] bytes. False if it does not exist.
async fn is_large(transaction: &mut PgConnection, table: &str) -> Result<bool, Error> {
    let size = sqlx::query_scalar::<_, i64>("SELECT coalesce(pg_table_size(to_regclass($1)), 0)").bind(table);
    Ok(size.fetch_one(transaction).await? >= LARGE)
}
