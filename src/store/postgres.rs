//! The store in PostgreSQL: each write has a transaction of its own.

use std::time::Duration;

use futures_util::FutureExt;
use sqlx::any::AnyQueryResult;
use sqlx::{Any, AnyConnection, Connection};

use super::Error;
use super::sql::Sql;
use super::write::{Scope, WriteJob};
use crate::config::DatabaseSettings;
use crate::database::{Address, CALL_LIMIT, Connections, Gate, PoolSettings, SESSION, is_lost};

/// Settings of each connection.
///
/// The tables have a schema of their own, apart from the datasets. Rows are always read by an index, in its order: statistics
/// lag behind tables that grow by thousands of rows a second, and plans are cached. A plan made for a small table would scan
/// all of a large one, and a plan that sorts few rows would fetch all that are due. Without such plans the estimated cost is so
/// high that each statement would be compiled, which takes longer than to run it. So compilation is off. A transaction of a
/// node that is gone or frozen ends, and its locks with it: sooner than the default lease, so that others can take its tasks. A
/// statement ends too, on a server that does not notice that its client is gone. No call waits for as long.
const SETTINGS: &str = "SET search_path = pausa; SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off; \
    SET idle_in_transaction_session_timeout = '3s'; SET statement_timeout = '10s'; ";

/// Maximum time that a call waits for a free connection.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Maximum number of attempts of a write that conflicts with writes of other nodes.
const ATTEMPTS: usize = 5;

/// Connects and creates the schema.
pub async fn open(settings: &DatabaseSettings) -> Result<Connections<Any>, Error> {
    let address = Address::parse(&settings.url).map_err(|error| Error::Unusable(error.to_string()))?;
    let gate = Gate::open(address).await.map_err(Error::Unusable)?;
    let prepare = format!("{SETTINGS}{SESSION}");
    let pool = PoolSettings { connections: settings.connections, patience: PATIENCE, prepare };
    let connections = Connections::any(&gate, pool)?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS pausa").execute(&connections).await.or_else(exists_already)?;
    Ok(connections)
}

/// Ignores the error of a node that creates the schema at the same time as another one.
fn exists_already(error: sqlx::Error) -> Result<AnyQueryResult, sqlx::Error> {
    match error.as_database_error().and_then(|database| database.code()).as_deref() {
        Some("23505" | "42P06") => Ok(AnyQueryResult::default()),
        _ => Err(error),
    }
}

/// Runs the write, again if it conflicts with another one.
pub async fn write(pool: &Connections<Any>, sql: &Sql, job: &mut dyn WriteJob) -> Result<(), Error> {
    let attempts = async {
        let mut attempts = 1;
        loop {
            match attempt(pool, sql, job).await {
                Err(error) if attempts < ATTEMPTS && is_conflict(&error) => attempts += 1,
                outcome => return outcome,
            }
        }
    };
    Ok(pool.within(CALL_LIMIT, attempts.boxed()).await?)
}

/// Runs the write once. A connection that failed, or whose answer was not awaited, is closed.
async fn attempt(pool: &Connections<Any>, sql: &Sql, job: &mut dyn WriteJob) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let outcome = run(&mut connection, sql, job).await;
    if !outcome.as_ref().is_err_and(is_lost) {
        connection.release();
    }
    outcome
}

async fn run(connection: &mut AnyConnection, sql: &Sql, job: &mut dyn WriteJob) -> sqlx::Result<()> {
    if job.scope() == Scope::Statement {
        return job.run(connection, sql).await;
    }
    let mut transaction = connection.begin().await?;
    job.run(&mut transaction, sql).await?;
    transaction.commit().await
}

/// Returns true for a unique violation, a serialization failure or a deadlock.
fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    matches!(code.as_deref(), Some("23505" | "40001" | "40P01"))
}
