//! Migrations of the tables.

use std::borrow::Cow;

use sqlx::AnyPool;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::Error;
use super::dialect::SqlDialect;

/// Version, name and statements of a migration.
type MigrationStep = (i64, &'static str, &'static str);

const SQLITE: &[MigrationStep] = &[
    (1, "tasks", include_str!("../../migrations/sqlite/0001_tasks.sql")),
    (2, "brief", include_str!("../../migrations/sqlite/0002_brief.sql")),
    (3, "idempotency", include_str!("../../migrations/sqlite/0003_idempotency.sql")),
    (4, "due_since", include_str!("../../migrations/sqlite/0004_due_since.sql")),
    (5, "trace_parent", include_str!("../../migrations/sqlite/0005_trace_parent.sql")),
    (7, "purges", include_str!("../../migrations/sqlite/0007_purges.sql")),
    (8, "unit_name", include_str!("../../migrations/sqlite/0008_unit_name.sql")),
    (11, "store_facts", include_str!("../../migrations/sqlite/0011_store_facts.sql")),
];
const POSTGRES: &[MigrationStep] = &[
    (1, "tasks", include_str!("../../migrations/postgres/0001_tasks.sql")),
    (2, "brief", include_str!("../../migrations/postgres/0002_brief.sql")),
    (3, "idempotency", include_str!("../../migrations/postgres/0003_idempotency.sql")),
    (4, "due_since", include_str!("../../migrations/postgres/0004_due_since.sql")),
    (5, "trace_parent", include_str!("../../migrations/postgres/0005_trace_parent.sql")),
    (7, "purges", include_str!("../../migrations/postgres/0007_purges.sql")),
    (8, "unit_name", include_str!("../../migrations/postgres/0008_unit_name.sql")),
    (11, "store_facts", include_str!("../../migrations/postgres/0011_store_facts.sql")),
];

/// Returns the version of the newest migration for SQLite.
pub fn newest() -> i64 {
    SQLITE.last().map_or(0, |(version, _, _)| *version)
}

/// Applies the migrations that the database lacks. Nodes that start together wait for each other.
pub async fn run(pool: &AnyPool, dialect: SqlDialect) -> Result<(), Error> {
    let steps = match dialect {
        SqlDialect::Sqlite => SQLITE,
        SqlDialect::Postgres => POSTGRES,
    };
    let migrations = steps.iter().map(|&(version, name, text)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, text.into_sql_str(), false)
    });
    let failed = |error: sqlx::migrate::MigrateError| Error::Failed(format!("migrating: {error}"));
    Migrator::with_migrations(migrations.collect()).run(pool).await.map_err(failed)
}
