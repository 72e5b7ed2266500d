//! The store in a file: one connection writes, and writes that come together share a commit.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;

use super::Error;
use super::sql::Sql;
use super::write::{Durability, WriteJob, closed};
use crate::config::SqliteUrl;
use crate::spawn::spawn;

/// Begins a transaction that is on disk once it is committed.
const IMMEDIATE: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";

/// Begins a transaction that is on disk with the next immediate one: the log is one file, in the order of the commits.
const DEFERRED: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

const PRAGMAS: [&str; 5] = [
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA cache_size = -4000",
];

/// Maximum number of writes in a commit.
const GROUP: usize = 256;

/// Maximum number of connections that read. WAL lets them read while the writer writes.
const READERS: u32 = 4;

/// Opens the file, and creates it if it does not exist.
pub async fn open(url: &str) -> Result<AnyPool, Error> {
    let pool = AnyPoolOptions::new()
        .max_connections(READERS)
        // A connection to a file cannot be lost.
        .test_before_acquire(false)
        .after_connect(|conn, _| Box::pin(prepare(conn)))
        .connect(&with_create(url))
        .await?;
    Ok(pool)
}

/// Returns the path of the file that the URL names. None for a database in memory.
pub fn path(url: &str) -> Option<PathBuf> {
    SqliteUrl::parse(url)?.path
}

fn with_create(url: &str) -> String {
    if url.contains('?') { url.to_owned() } else { format!("{url}?mode=rwc") }
}

async fn prepare(conn: &mut AnyConnection) -> sqlx::Result<()> {
    for pragma in PRAGMAS {
        sqlx::query(pragma).fetch_all(&mut *conn).await?;
    }
    Ok(())
}

/// Hands writes to the one connection that writes.
#[derive(Clone)]
pub struct Writer(mpsc::Sender<Box<dyn WriteJob>>);

impl Writer {
    /// Starts the writer on a connection of its own. It ends with the last clone of this handle.
    pub async fn start(url: &str, sql: Arc<Sql>) -> Result<Writer, Error> {
        let mut conn = AnyConnection::connect(&with_create(url)).await?;
        prepare(&mut conn).await?;
        let (jobs, mut inbox) = mpsc::channel::<Box<dyn WriteJob>>(GROUP * 4);
        spawn(async move {
            let mut group = Vec::with_capacity(GROUP);
            while inbox.recv_many(&mut group, GROUP).await > 0 {
                commit(&mut conn, &sql, std::mem::take(&mut group)).await;
            }
        });
        Ok(Writer(jobs))
    }

    /// Hands a write over. It runs in a transaction that it may share with writes of other callers.
    pub async fn send(&self, job: Box<dyn WriteJob>) {
        if let Err(SendError(job)) = self.0.send(job).await {
            job.answer(Err(closed()));
        }
    }
}

/// Commits all writes together. If that fails, commits each separately, so that one that fails does not affect the others.
async fn commit(conn: &mut AnyConnection, sql: &Sql, mut group: Vec<Box<dyn WriteJob>>) {
    let outcome = transaction(conn, sql, &mut group).await;
    if outcome.is_ok() || group.len() == 1 {
        group.into_iter().for_each(|job| job.answer(outcome.clone()));
        return;
    }
    for mut job in group {
        let outcome = transaction(conn, sql, std::slice::from_mut(&mut job)).await;
        job.answer(outcome);
    }
}

async fn transaction(conn: &mut AnyConnection, sql: &Sql, jobs: &mut [Box<dyn WriteJob>]) -> Result<(), Error> {
    let immediate = jobs.iter().any(|job| job.durability() == Durability::Immediate);
    let mut transaction = conn.begin_with(if immediate { IMMEDIATE } else { DEFERRED }).await?;
    for job in jobs {
        job.run(&mut transaction, sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::str::FromStr;

    use sqlx::ConnectOptions;
    use sqlx::any::AnyConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    /// The file that sqlx opens for a URL.
    fn opened(url: &str) -> PathBuf {
        let any = AnyConnectOptions::from_str(url).unwrap();
        SqliteConnectOptions::from_url(&any.database_url).unwrap().get_filename().to_owned()
    }

    #[test]
    fn sqlx_opens_the_file_that_the_lock_and_the_datasets_expect() {
        for name in ["plain", "100%", "a%20b", "what?", "a#b", "with space", "für", "a/../b", "./c", "/d", "e\\f"] {
            let file = Path::new("/data").join(name).join("pausa.db");
            assert_eq!(opened(&with_create(&SqliteUrl::from_path(&file))), file, "{name}");
        }
        let given = [
            "sqlite:a%20b.db",
            "sqlite:///a%3Fb.db?mode=rwc",
            "sqlite://a.db",
            "sqlite:/x/../y.db",
            "sqlite:/a b#c.db",
            "sqlite:./%25.db?mode=rw&cache=private",
            "sqlite:sqlite:a.db",
        ];
        for url in given {
            assert_eq!(path(url).as_deref(), Some(&*opened(&with_create(url))), "{url}");
        }
    }
}
