//! Recognizes a pooler that Pausa cannot use, and a connection without encryption.

use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection};
use tokio::time::timeout;

use super::refusal::describe;
use super::{Address, refusal};

/// Maximum time of the check.
const LIMIT: Duration = Duration::from_secs(5);

/// Number of times that the check is made. Each can find a pooler, and none finds one that is not there.
const ROUNDS: usize = 4;

/// Reason for which Pausa cannot use such a pooler.
const TRANSACTION_POOLING: &str = "a pooler gives each transaction another connection of the server (PgBouncer with pool_mode = \
    transaction or statement). Pausa needs connections of its own, for LISTEN, prepared statements and settings. Set pool_mode = \
    session for this database in the pooler, or use the address of PostgreSQL itself";

/// Checks the path to the server by two connections. Returns the first.
///
/// # Errors
/// Reason for which Pausa cannot use it.
pub(super) async fn check(mut first: PgConnection, address: &Address) -> Result<PgConnection, String> {
    let checked = timeout(LIMIT, async {
        let mut second = address.options().connect().await?;
        let pooled = is_pooled_by_transaction(&mut first, &mut second).await?;
        let clear = address.may_be_clear() && !is_encrypted(&mut first).await?;
        sqlx::Result::Ok((pooled, clear))
    });
    let (pooled, clear) = match checked.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) if is_refused_transaction(&error) => (true, false),
        Ok(Err(error)) => return Err(describe(address, &refusal::explain(&error, address))),
        Err(_) => return Err(describe(address, &format!("no answer within {LIMIT:?}"))),
    };
    if pooled {
        return Err(describe(address, TRANSACTION_POOLING));
    }
    if clear {
        log_clear(address);
    }
    Ok(first)
}

/// Returns true if connections of the server change hands: the second client has the one of the first, or the first has
/// another one than before while the second is in a transaction.
async fn is_pooled_by_transaction(first: &mut PgConnection, second: &mut PgConnection) -> sqlx::Result<bool> {
    let before = backend(first).await?;
    for _ in 0..ROUNDS {
        sqlx::raw_sql("BEGIN").execute(&mut *second).await?;
        let (other, now) = (backend(second).await?, backend(first).await?);
        sqlx::raw_sql("ROLLBACK").execute(&mut *second).await?;
        if other == before || now != before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the process ID of the server's connection, by a text without a prepared statement.
async fn backend(connection: &mut PgConnection) -> sqlx::Result<String> {
    use sqlx::Row;
    let row = sqlx::raw_sql("SELECT pg_backend_pid()::text").fetch_one(connection).await?;
    row.try_get(0)
}

/// Returns true for the refusal of a transaction by a pooler of statements.
fn is_refused_transaction(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|database| database.message().contains("statement pooling"))
}

async fn is_encrypted(connection: &mut PgConnection) -> sqlx::Result<bool> {
    use sqlx::Row;
    let sql = "SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)::text";
    let row = sqlx::raw_sql(sql).fetch_one(connection).await?;
    Ok(row.try_get::<&str, _>(0)? == "true")
}

fn log_clear(address: &Address) {
    let advice = "set sslmode=verify-full, or sslmode=disable if this is intended";
    match address.is_local() {
        true => {
            tracing::info!(server = %address, "connections to PostgreSQL are not encrypted: the server offers no TLS")
        }
        false => {
            tracing::warn!(server = %address, advice, "connections to PostgreSQL are not encrypted: the server offers no TLS")
        }
    }
}
