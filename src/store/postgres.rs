//! The store in PostgreSQL: each write has a transaction of its own.

use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Connection};

use super::Error;
use super::sql::Sql;
use super::write::{Scope, Write, WriteFn};

const CONNECTIONS: u32 = 16;

/// Settings of each connection.
///
/// The tables have a schema of their own, apart from the datasets. Rows are always read by an index, in its order: statistics
/// lag behind tables that grow by thousands of rows a second, and plans are cached. A plan made for a small table would scan
/// all of a large one, and a plan that sorts few rows would fetch all that are due. Without such plans the estimated cost is so
/// high that each statement would be compiled, which takes longer than to run it. So compilation is off.
const SETTINGS: [&str; 4] =
    ["SET search_path = pausa", "SET enable_seqscan = off", "SET enable_bitmapscan = off", "SET jit = off"];

/// A connection that was idle for less time is not checked before its use.
const CHECK_AFTER: Duration = Duration::from_secs(1);

/// Maximum time that a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum number of attempts of a write that conflicts with writes of other nodes.
const ATTEMPTS: usize = 5;

/// Connects and creates the schema.
pub async fn open(url: &str) -> Result<AnyPool, Error> {
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|conn, used| {
            Box::pin(async move {
                if used.idle_for > CHECK_AFTER {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|conn, _| {
            Box::pin(async move {
                for setting in SETTINGS {
                    sqlx::query(setting).execute(&mut *conn).await?;
                }
                Ok(())
            })
        })
        .connect(url)
        .await?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS pausa").execute(&pool).await.or_else(exists_already)?;
    Ok(pool)
}

/// Ignores the error of a node that creates the schema at the same time as another one.
fn exists_already(error: sqlx::Error) -> Result<sqlx::any::AnyQueryResult, sqlx::Error> {
    match error.as_database_error().and_then(|database| database.code()).as_deref() {
        Some("23505" | "42P06") => Ok(sqlx::any::AnyQueryResult::default()),
        _ => Err(error),
    }
}

/// Runs the write, again if it conflicts with another one.
pub async fn write<I, T, F>(pool: &AnyPool, sql: &Sql, write: &Write<I, F>) -> Result<T, Error>
where
    F: for<'c> WriteFn<'c, I, T>,
{
    let mut attempts = 1;
    loop {
        match attempt(pool, sql, write).await {
            Err(error) if attempts < ATTEMPTS && is_conflict(&error) => attempts += 1,
            outcome => return Ok(outcome?),
        }
    }
}

async fn attempt<I, T, F>(pool: &AnyPool, sql: &Sql, write: &Write<I, F>) -> sqlx::Result<T>
where
    F: for<'c> WriteFn<'c, I, T>,
{
    if write.scope == Scope::Statement {
        return (write.run)(&mut *pool.acquire().await?, sql, &write.input).await;
    }
    let mut transaction = pool.begin().await?;
    let value = (write.run)(&mut transaction, sql, &write.input).await?;
    transaction.commit().await?;
    Ok(value)
}

/// Returns true for a unique violation, a serialization failure or a deadlock.
fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    matches!(code.as_deref(), Some("23505" | "40001" | "40P01"))
}
