//! Migrations of the tables.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Any, AnyConnection, AnyPool, Connection, SqlSafeStr, Transaction};

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
    (9, "nodes", include_str!("../../migrations/sqlite/0009_nodes.sql")),
    (11, "store_facts", include_str!("../../migrations/sqlite/0011_store_facts.sql")),
    (12, "schema_support", include_str!("../../migrations/sqlite/0012_schema_support.sql")),
    (13, "disk_full", include_str!("../../migrations/sqlite/0013_disk_full.sql")),
    (14, "lists", include_str!("../../migrations/sqlite/0014_lists.sql")),
    (15, "task_fields", include_str!("../../migrations/sqlite/0015_task_fields.sql")),
    (16, "updates", include_str!("../../migrations/sqlite/0016_updates.sql")),
    (17, "search", include_str!("../../migrations/sqlite/0017_search.sql")),
    (18, "upload_list", include_str!("../../migrations/sqlite/0018_upload_list.sql")),
];
const POSTGRES: &[MigrationStep] = &[
    (1, "tasks", include_str!("../../migrations/postgres/0001_tasks.sql")),
    (2, "brief", include_str!("../../migrations/postgres/0002_brief.sql")),
    (3, "idempotency", include_str!("../../migrations/postgres/0003_idempotency.sql")),
    (4, "due_since", include_str!("../../migrations/postgres/0004_due_since.sql")),
    (5, "trace_parent", include_str!("../../migrations/postgres/0005_trace_parent.sql")),
    (7, "purges", include_str!("../../migrations/postgres/0007_purges.sql")),
    (8, "unit_name", include_str!("../../migrations/postgres/0008_unit_name.sql")),
    (9, "nodes", include_str!("../../migrations/postgres/0009_nodes.sql")),
    (11, "store_facts", include_str!("../../migrations/postgres/0011_store_facts.sql")),
    (12, "schema_support", include_str!("../../migrations/postgres/0012_schema_support.sql")),
    (13, "disk_full", include_str!("../../migrations/postgres/0013_disk_full.sql")),
    (14, "lists", include_str!("../../migrations/postgres/0014_lists.sql")),
    (15, "task_fields", include_str!("../../migrations/postgres/0015_task_fields.sql")),
    (16, "updates", include_str!("../../migrations/postgres/0016_updates.sql")),
    (17, "search", include_str!("../../migrations/postgres/0017_search.sql")),
    (18, "upload_list", include_str!("../../migrations/postgres/0018_upload_list.sql")),
];

/// Migration that created the table schema_support.
const DECLARED_SINCE: i64 = 12;

/// Begins a transaction in which no other process migrates. It waits for another one as long as that takes.
const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";
const BEGIN_POSTGRES: [&str; 2] = [
    "SET LOCAL statement_timeout = 0",
    // The number identifies the migrations of Pausa among the locks of the database.
    "SELECT pg_advisory_xact_lock(8102935471)",
];

/// Returns the version of the newest migration for SQLite.
pub fn newest() -> i64 {
    SQLITE.last().map_or(0, |(version, _, _)| *version)
}

/// Applies the migrations that the database lacks, each in a transaction of its own. Nodes that start together wait for each
/// other.
///
/// # Errors
/// The database has a migration of a newer version of Pausa which this version cannot run with.
pub async fn run(pool: &AnyPool, dialect: SqlDialect) -> Result<(), Error> {
    let steps = match dialect {
        SqlDialect::Sqlite => SQLITE,
        SqlDialect::Postgres => POSTGRES,
    };
    let migrations = steps.iter().map(|&(version, name, text)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, text.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // `check_newer` decides on the others. The transactions below take the lock.
    migrator.set_ignore_missing(true).set_locking(false);
    let mut conn = pool.acquire().await?;
    let mut transaction = begin(&mut conn, dialect).await?;
    transaction.ensure_migrations_table(&migrator.table_name).await.map_err(failed)?;
    let applied = transaction.list_applied_migrations(&migrator.table_name).await.map_err(failed)?;
    let applied: BTreeSet<i64> = applied.into_iter().map(|migration| migration.version).collect();
    check_newer(&mut transaction, steps, &applied).await?;
    transaction.commit().await?;
    for (version, ..) in steps.iter().filter(|(version, ..)| !applied.contains(version)) {
        let mut transaction = begin(&mut conn, dialect).await?;
        migrator.run_direct(Some(*version), &mut *transaction, false).await.map_err(failed)?;
        transaction.commit().await?;
    }
    Ok(())
}

fn failed(error: MigrateError) -> Error {
    Error::Failed(format!("migrating: {error}"))
}

async fn begin(conn: &mut AnyConnection, dialect: SqlDialect) -> sqlx::Result<Transaction<'_, Any>> {
    if dialect == SqlDialect::Sqlite {
        return conn.begin_with(BEGIN_SQLITE).await;
    }
    let mut transaction = conn.begin().await?;
    for statement in BEGIN_POSTGRES {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    Ok(transaction)
}

/// Refuses a database with a migration that this program does not know and that does not support it.
async fn check_newer(conn: &mut AnyConnection, steps: &[MigrationStep], applied: &BTreeSet<i64>) -> Result<(), Error> {
    let newest = steps.last().map_or(0, |(version, ..)| *version);
    let unknown = applied.iter().copied().filter(|version| !steps.iter().any(|(known, ..)| known == version));
    for version in unknown {
        let supports =
            applied.contains(&DECLARED_SINCE) && runs_from(conn, version).await?.is_some_and(|from| from <= newest);
        if !supports {
            return Err(Error::Failed(format!(
                "a newer version of Pausa has changed the tables: this version knows the migrations up to {newest} and cannot \
                 run with migration {version}. Start the newer version"
            )));
        }
        tracing::info!(
            migration = version,
            newest,
            "a newer version of Pausa has changed the tables; this version supports it"
        );
    }
    Ok(())
}

/// Returns the newest migration of the oldest program that runs with `migration`. None if the migration does not say.
async fn runs_from(conn: &mut AnyConnection, migration: i64) -> sqlx::Result<Option<i64>> {
    let query = sqlx::query_scalar("SELECT runs_from FROM schema_support WHERE migration = $1");
    query.bind(migration).fetch_optional(conn).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_migration_says_which_versions_run_with_it() {
        for (version, name, text) in [SQLITE, POSTGRES].concat() {
            let declared =
                text.contains(&format!("INSERT INTO schema_support (migration, runs_from) VALUES ({version}, "));
            assert_eq!(declared, version > DECLARED_SINCE, "{version} {name}");
        }
    }

    #[test]
    fn both_databases_have_the_same_migrations_in_order() {
        let names =
            |steps: &[MigrationStep]| steps.iter().map(|(version, name, _)| (*version, *name)).collect::<Vec<_>>();
        assert_eq!(names(SQLITE), names(POSTGRES));
        assert!(names(SQLITE).is_sorted());
    }
}
