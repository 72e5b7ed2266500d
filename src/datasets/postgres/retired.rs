//! Tables that are to go: those that only pins hold, and large ones, which are dropped a moment later. The server gives
//! the files of a table back as it commits the drop, and that takes longer the larger they are.

use sqlx::{PgConnection, PgPool};

use super::super::Error;
use super::super::identifiers::quoted;
use super::publishing::run;
use super::schema::own_table;
use super::soon;

/// Bytes from which a table is not dropped while somebody waits.
const LARGE: i64 = 64 << 20;

const HELD: &str = "SELECT EXISTS (SELECT 1 FROM pausa_datasets.pin WHERE relation = $1)";

/// Takes the table (quoted, in the schema `place`) away, or sets it aside under the name `relation`, which nothing has.
pub(super) async fn retire(
    transaction: &mut PgConnection,
    (place, table): (&str, &str),
    relation: &str,
) -> Result<(), Error> {
    let held: bool = sqlx::query_scalar(HELD).bind(relation).fetch_one(&mut *transaction).await?;
    let full = format!("{}.{table}", quoted(place));
    if !held && !is_large(transaction, &full).await? {
        return run(transaction, format!("DROP TABLE IF EXISTS {full}")).await;
    }
    let own = quoted(relation);
    run(transaction, format!("ALTER TABLE {full} RENAME TO {own}")).await?;
    if place != "pausa_datasets" {
        run(transaction, format!("ALTER TABLE {}.{own} SET SCHEMA pausa_datasets", quoted(place))).await?;
    }
    let insert = sqlx::query("INSERT INTO pausa_datasets.retired (relation) VALUES ($1)").bind(relation);
    insert.execute(transaction).await?;
    Ok(())
}

/// Drops a retired table that nobody holds any more, unless it is large. Of several that let go at once, the last one
/// sees that it is.
pub(super) async fn drop_small(transaction: &mut PgConnection, relation: &str) -> Result<(), Error> {
    match is_large(transaction, &own_table(relation)).await? {
        true => Ok(()),
        false => drop_free(transaction, relation).await,
    }
}

/// Drops what nobody holds, on a task of its own.
pub(super) fn sweep_soon(pool: &PgPool) {
    soon("could not drop unused tables; the next start retries", sweep(pool.clone()));
}

async fn sweep(pool: PgPool) -> Result<(), Error> {
    let free = "SELECT relation FROM pausa_datasets.retired r
        WHERE NOT EXISTS (SELECT 1 FROM pausa_datasets.pin p WHERE p.relation = r.relation)";
    let relations: Vec<String> = sqlx::query_scalar(free).fetch_all(&pool).await?;
    for relation in relations {
        let mut transaction = pool.begin().await?;
        drop_free(&mut transaction, &relation).await?;
        transaction.commit().await?;
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
        run(transaction, format!("DROP TABLE IF EXISTS {}", own_table(relation))).await?;
    }
    Ok(())
}

/// Whether a table, which need not be there, has [`LARGE`] bytes.
async fn is_large(transaction: &mut PgConnection, table: &str) -> Result<bool, Error> {
    let size = sqlx::query_scalar::<_, i64>("SELECT coalesce(pg_table_size(to_regclass($1)), 0)").bind(table);
    Ok(size.fetch_one(transaction).await? >= LARGE)
}
