//! The tables of the bookkeeping, and the names of tables and columns.

use sqlx::{AssertSqlSafe, PgConnection};

use super::super::identifiers::{Rules, quoted};
use super::super::{Column, ColumnType, Error};
use super::PgConnections;
use crate::task::TaskId;

/// Maximum number of columns in a PostgreSQL table, minus the row number.
pub(super) const MAX_COLUMNS: usize = 1599;

/// Column of the row number.
pub(super) const ROW: &str = "pausa_row";

/// PostgreSQL keeps 63 bytes of a name, and has system columns.
const RULES: Rules =
    Rules { max_bytes: 63, fold_case: false, reserved: &[ROW, "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"] };

/// `relation` is the ID of the task that created the table. `appended` has the tasks that added rows to it later, with the time in
/// microseconds. `retired` lists tables that only pins use, and large ones that are dropped shortly. The pin of a stream expires
/// unless it is renewed. `used_by` has one row: the task store.
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
    CREATE TABLE IF NOT EXISTS pausa_datasets.appended (
        relation text, at bigint, task text, PRIMARY KEY (relation, at, task)
    );
    CREATE TABLE IF NOT EXISTS pausa_datasets.pin (
        holder text PRIMARY KEY, relation text NOT NULL, columns text NOT NULL, rows bigint NOT NULL,
        expires timestamptz
    );
    CREATE INDEX IF NOT EXISTS pin_relation ON pausa_datasets.pin (relation);
    CREATE TABLE IF NOT EXISTS pausa_datasets.retired (relation text PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS pausa_datasets.used_by (
        store text NOT NULL, single boolean PRIMARY KEY DEFAULT true CHECK (single)
    );
"#;

/// Creates what is missing. Several nodes may do this at the same time.
pub(super) async fn create(pool: &PgConnections) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Returns the table of a task's staging, quoted. A table also gets this name when it is retired.
pub(super) fn own_table(relation: &str) -> String {
    format!("pausa_datasets.{}", quoted(relation))
}

/// Returns the statement that creates the table of a staging. Autovacuum is off: there is nothing to clean up, and a
/// running vacuum would delay publishing. Publishing turns it on.
pub(super) fn create_table(task: TaskId, columns: &[Column]) -> String {
    let typed = names(columns).into_iter().zip(columns);
    let columns: Vec<_> = typed.map(|(name, column)| format!("{name} {}", declared(column.kind))).collect();
    let table = own_table(&task.to_string());
    let columns = columns.join(", ");
    format!("CREATE TABLE {table} ({ROW} bigint NOT NULL, {columns}) WITH (autovacuum_enabled = off)")
}

/// Returns the type of a column in PostgreSQL.
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

/// Returns the column names in the table, quoted, without the row number.
pub(super) fn names(columns: &[Column]) -> Vec<String> {
    RULES.identifiers(columns).iter().map(|name| quoted(name)).collect()
}

/// Runs a statement. The caller has quoted its identifiers.
pub(super) async fn run_statement(connection: &mut PgConnection, sql: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
