//! Creates the index of row numbers shortly after a dataset is published. Without it, reading works but is slower. The
//! index is small and quick to create, because rows are stored nearly in order.

use futures_util::FutureExt;
use sqlx::PgConnection;

use super::super::Error;
use super::super::identifiers::quoted;
use super::PgConnections;
use super::listing::{self, CatalogEntry};
use super::schema::ROW;
use super::schema::run_statement;
use super::{fence, in_time, soon};

/// A dataset whose table has no such index yet.
const MISSING: &str = "SELECT name FROM (
        SELECT name, to_regclass(quote_ident(place) || '.' || quote_ident(name)) AS place FROM pausa_datasets.dataset) d
    WHERE place IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
        WHERE a.amname = 'brin' AND i.indrelid = d.place)
    LIMIT 1";

/// Only one connection of all nodes creates indexes at a time.
const ALONE: &str = "SELECT pg_try_advisory_xact_lock(5791083247)";

/// Creates the missing indexes in the background.
pub(super) fn index_soon(pool: &PgConnections) {
    soon(
        pool,
        "could not build the row indexes of datasets; the next import or start retries",
        index_all(pool.clone()),
    );
}

async fn index_all(pool: PgConnections) -> Result<(), Error> {
    loop {
        let mut transaction = pool.begin().await?;
        // The connection that creates indexes already checks again.
        let alone = in_time(sqlx::query_scalar(ALONE).fetch_one(&mut *transaction)).await?;
        let name: Option<String> = match alone {
            true => in_time(sqlx::query_scalar(MISSING).fetch_optional(&mut *transaction)).await?,
            false => None,
        };
        let Some(name) = name else { return in_time(transaction.rollback()).await };
        let backend = in_time(fence::backend(&mut transaction)).await?;
        pool.while_working(backend, index(&mut transaction, &name).boxed()).await?;
        in_time(transaction.commit()).await?;
    }
}

/// Creates the index of a dataset. Until it exists, the dataset cannot be changed or renamed. Readers are not blocked.
async fn index(transaction: &mut PgConnection, name: &str) -> Result<(), Error> {
    match listing::find_for_share(transaction, &listing::parse_name(name)?).await? {
        Some(entry) => index_table(transaction, &entry).await,
        None => Ok(()),
    }
}

/// Creates the index unless its name exists. The name contains the ID of the task that created the table.
async fn index_table(transaction: &mut PgConnection, entry: &CatalogEntry) -> Result<(), Error> {
    let (table, name) = (entry.table(), quoted(&format!("{}_rows", entry.relation)));
    run_statement(transaction, format!("CREATE INDEX IF NOT EXISTS {name} ON {table} USING brin ({ROW})")).await?;
    analyze(transaction, &table).await
}

/// Adds rows at the end of a dataset's table to the index, if it exists.
pub(super) async fn extend(transaction: &mut PgConnection, table: &str) -> Result<(), Error> {
    let sql = "SELECT brin_summarize_new_values(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_am a ON a.oid = c.relam WHERE i.indrelid = $1::regclass AND a.amname = 'brin'";
    sqlx::query(sql).bind(table).execute(&mut *transaction).await?;
    analyze(transaction, table).await
}

/// Informs the planner that rows are stored nearly in order: without it, each page reads the whole table.
/// A small sample is enough; one of the usual size would cost as much as creating the index.
async fn analyze(transaction: &mut PgConnection, table: &str) -> Result<(), Error> {
    run_statement(transaction, "SET LOCAL default_statistics_target = 1".into()).await?;
    run_statement(transaction, format!("ANALYZE {table} ({ROW})")).await
}
