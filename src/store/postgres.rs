//! The store in PostgreSQL: a transaction for each write, and word of the writes of other nodes.

use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::postgres::PgListener;
use sqlx::{AnyPool, Connection};
use tokio::sync::mpsc;

use super::Error;
use super::hint::{self, Hint};
use super::op::{Extent, Op};

const CONNECTIONS: u32 = 16;

/// The store's tables live in a schema of their own, apart from the datasets. Statistics lag behind tables that grow by
/// thousands of rows a second, and plans are kept: one that was made for a small table would read all of a large one, and one
/// that sorts what it takes for few rows would fetch all that is due. So rows are read by an index, in its order. Where there
/// is none the plan seems dear enough to be compiled each time, which takes longer than to run it.
const SETTINGS: [&str; 4] =
    ["SET search_path = pausa", "SET enable_seqscan = off", "SET enable_bitmapscan = off", "SET jit = off"];

/// A connection that was in use a moment ago is not asked whether it is there still.
const FRESH: Duration = Duration::from_secs(1);

/// How long a call waits for a connection before it says that the store is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// The wait between two tries to hear other nodes again.
const AWAY: Duration = Duration::from_millis(250);

/// Times that a write is tried again where another node's write came between.
const TRIES: usize = 5;

/// What a node hears of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A task changed.
    Changed(Hint),
    /// The connection was lost, and what was said meanwhile with it; from now on words are heard again.
    Missed,
}

/// Connects, and makes the schema.
pub async fn open(url: &str) -> Result<AnyPool, Error> {
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(|conn, used| {
            Box::pin(async move {
                if used.idle_for > FRESH {
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

/// Two nodes that start together may both try to make the schema.
fn exists_already(error: sqlx::Error) -> Result<sqlx::any::AnyQueryResult, sqlx::Error> {
    match error.as_database_error().and_then(|database| database.code()).as_deref() {
        Some("23505" | "42P06") => Ok(sqlx::any::AnyQueryResult::default()),
        _ => Err(error),
    }
}

/// Runs `op`, again where another write came between.
pub async fn write<T>(pool: &AnyPool, op: &Op<T>) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        let outcome = match op.extent {
            Extent::Statement => alone(pool, op).await,
            Extent::Transaction => transaction(pool, op).await,
        };
        match outcome {
            Err(error) if tries < TRIES && came_between(&error) => tries += 1,
            other => return Ok(other?),
        }
    }
}

async fn alone<T>(pool: &AnyPool, op: &Op<T>) -> sqlx::Result<T> {
    (op.run)(&mut *pool.acquire().await?).await
}

async fn transaction<T>(pool: &AnyPool, op: &Op<T>) -> sqlx::Result<T> {
    let mut transaction = pool.begin().await?;
    let value = (op.run)(&mut transaction).await?;
    transaction.commit().await?;
    Ok(value)
}

/// Unique violation, serialization failure or deadlock.
fn came_between(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|database| database.code());
    matches!(code.as_deref(), Some("23505" | "40001" | "40P01"))
}

/// The ids of tasks as other nodes than `source` change them, with the version. Connects anew by itself, and says so.
pub async fn listen(url: &str, source: String) -> Result<mpsc::Receiver<Word>, Error> {
    let mut listener = connected(url).await?;
    let (words, inbox) = mpsc::channel(1024);
    let url = url.to_owned();
    tokio::spawn(async move {
        loop {
            hear(&mut listener, &source, &words).await;
            listener = again(&url).await;
            if words.send(Word::Missed).await.is_err() {
                return;
            }
        }
    });
    Ok(inbox)
}

async fn connected(url: &str) -> sqlx::Result<PgListener> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen("pausa_tasks").await?;
    Ok(listener)
}

async fn again(url: &str) -> PgListener {
    loop {
        match connected(url).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%error, "could not listen for changes by other nodes; retrying");
                tokio::time::sleep(AWAY).await;
            }
        }
    }
}

/// Passes on what is heard until the connection is lost, or nobody listens any more.
async fn hear(listener: &mut PgListener, source: &str, words: &mpsc::Sender<Word>) {
    while let Ok(Some(word)) = listener.try_recv().await {
        if let Some(hint) = hint::hear(word.payload(), source)
            && words.send(Word::Changed(hint)).await.is_err()
        {
            return;
        }
    }
}
