//! The bookkeeping's tables, and what tables and columns are called.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::super::identifiers::{Rules, quoted};
use super::super::{Column, ColumnType, Error};
use crate::task::TaskId;

/// Columns that a table of PostgreSQL holds, less ours.
pub(super) const MAX_COLUMNS: usize = 1599;

/// The number of a row.
pub(super) const ROW: &str = "pausa_row";

/// PostgreSQL keeps 63 bytes of a name, and has columns of its own.
const RULES: Rules =
    Rules { max_bytes: 63, fold_case: false, reserved: &[ROW, "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"] };

/// `relation` is the task that made the table; `retired` are tables that only pins hold, and large ones
/// that are dropped a moment later. The pin of a stream expires
/// unless it is renewed.
const SCHEMA: &str = r#"
    SELECT pg_advisory_xact_lock(5791083246);
    CREATE SCHEMA IF NOT EXISTS pausa_datasets;
    CREATE TABLE IF NOT EXISTS pausa_datasets.staging (
        task text PRIMARY KEY, epoch bigint NOT NULL, cursor text, rows bigint NOT NULL DEFAULT 0,
        plan text NOT NULL, published boolean NOT NULL DEFAULT false
    );
    CREATE TABLE IF NOT EXISTS pausa_datasets.reject (
        task text, number bigint GENERATED ALWAYS AS IDENTITY, lines bytea NOT NULL, PRIMARY KEY (task, number)
    );
    CREATE TABLE IF NOT EXISTS pausa_datasets.dataset (
        name text COLLATE "C" PRIMARY KEY, place text NOT NULL, relation text NOT NULL UNIQUE,
        columns text NOT NULL, rows bigint NOT NULL, created_at text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS pausa_datasets.pin (
        holder text PRIMARY KEY, relation text NOT NULL, columns text NOT NULL, rows bigint NOT NULL,
        expires timestamptz
    );
    CREATE INDEX IF NOT EXISTS pin_relation ON pausa_datasets.pin (relation);
    CREATE TABLE IF NOT EXISTS pausa_datasets.retired (relation text PRIMARY KEY);
"#;

/// Makes what is missing; several nodes may do so at once.
pub(super) async fn create(pool: &PgPool) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// The table of a task's staging, which is also where it goes when it is retired.
pub(super) fn own_table(relation: &str) -> String {
    format!("pausa_datasets.{}", quoted(relation))
}

/// The statement that makes the table of a staging. Nothing is to be cleaned up there, and a cleaner at work would keep
/// publishing waiting; it comes once the table is a dataset's.
pub(super) fn create_table(task: TaskId, columns: &[Column]) -> String {
    let typed = names(columns).into_iter().zip(columns);
    let columns: Vec<_> = typed.map(|(name, column)| format!("{name} {}", declared(column.kind))).collect();
    let table = own_table(&task.to_string());
    let columns = columns.join(", ");
    format!("CREATE TABLE {table} ({ROW} bigint NOT NULL, {columns}) WITH (autovacuum_enabled = off)")
}

/// The type of a column as PostgreSQL is told it.
pub(super) fn declared(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Integer => "bigint",
        ColumnType::Real => "double precision",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamptz",
    }
}

/// The columns' names in the table, quoted, without the row's number.
pub(super) fn names(columns: &[Column]) -> Vec<String> {
    RULES.identifiers(columns).iter().map(|name| quoted(name)).collect()
}

/// Runs a statement whose identifiers are quoted.
pub(super) async fn run_statement(connection: &mut PgConnection, sql: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
