//! The store in PostgreSQL: a transaction for each write, and word of the writes of other nodes.

use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::postgres::PgListener;
use sqlx::{AnyPool, PgPool};
use tokio::sync::mpsc;

use super::{Error, Hint, Op};

const CONNECTIONS: u32 = 16;

/// How long a call waits for a connection before it says that the store is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// Times that a write is tried again where another node's write came between.
const TRIES: usize = 5;

/// Connects; the store's tables live in a schema of their own, apart from the datasets.
pub async fn open(url: &str) -> Result<AnyPool, Error> {
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .after_connect(|conn, _| {
            Box::pin(async move {
                sqlx::query("SET search_path = pausa").execute(conn).await?;
                Ok(())
            })
        })
        .connect(url)
        .await?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS pausa").execute(&pool).await.or_else(exists_already)?;
    Ok(pool)
}

/// Two nodes that start together may both try to make the schema.
fn exists_already(error: sqlx::Error) -> Result<sqlx::any::AnyQueryResult, sqlx::Error> {
    match error.as_database_error().and_then(|database| database.code()).as_deref() {
        Some("23505" | "42P06") => Ok(sqlx::any::AnyQueryResult::default()),
        _ => Err(error),
    }
}

/// Runs `op` in a transaction, again where another write came between.
pub async fn write<T>(pool: &AnyPool, op: &Op<T>) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        let outcome = transaction(pool, op).await;
        match outcome {
            Err(error) if tries < TRIES && came_between(&error) => tries += 1,
            other => return Ok(other?),
        }
    }
}

async fn transaction<T>(pool: &AnyPool, op: &Op<T>) -> sqlx::Result<T> {
    let mut transaction = pool.begin().await?;
    let value = op(&mut transaction).await?;
    transaction.commit().await?;
    Ok(value)
}

/// Unique violation, serialization failure or deadlock.
fn came_between(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    matches!(code.as_deref(), Some("23505" | "40001" | "40P01"))
}

/// Word of the changes that other stores than `source` make. Reconnects by itself.
pub async fn listen(url: &str, source: String) -> Result<mpsc::Receiver<Hint>, Error> {
    let pool = PgPool::connect_lazy(url)?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("pausa_tasks").await?;
    let (hints, inbox) = mpsc::channel(1024);
    tokio::spawn(async move {
        while !hints.is_closed() {
            match listener.recv().await {
                Ok(word) => {
                    if let Some(hint) = hint(word.payload(), &source) {
                        // The receiver going away ends the loop.
                        let _ = hints.send(hint).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no word from other nodes for the moment");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    });
    Ok(inbox)
}

fn hint(payload: &str, source: &str) -> Option<Hint> {
    let mut words = payload.split(' ');
    let (id, version, state_changed) = (words.next()?, words.next()?, words.next()?);
    if words.next()? == source {
        return None;
    }
    Some(Hint { id: id.parse().ok()?, version: version.parse().ok()?, state_changed: state_changed.parse().ok()? })
}
