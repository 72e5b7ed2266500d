//! The store in a file: one writer that commits what many callers asked for together.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection};
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::op::{Durability, Op};
use crate::config::SqliteUrl;

/// Begins what is on disk when it is acknowledged.
const AT_ONCE: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";

/// Begins what is written when it is acknowledged, and on disk with the next commit that is: the log is one file, in the order
/// of the commits.
const WITH_NEXT: &str = "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE";

const PRAGMAS: [&str; 5] = [
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA cache_size = -4000",
];

/// Callers whose writes share one commit.
const GROUP: usize = 256;

/// Readers at once; WAL lets them read beside the writer.
const READERS: u32 = 4;

type Job = (Op<()>, oneshot::Sender<Result<(), Error>>);

/// Hands writes to the one connection that writes.
#[derive(Clone)]
pub struct Writer(mpsc::Sender<Job>);

/// Opens the file, which is made where there is none.
pub async fn open(url: &str) -> Result<AnyPool, Error> {
    let pool = AnyPoolOptions::new()
        .max_connections(READERS)
        // A file does not go away.
        .test_before_acquire(false)
        .after_connect(|conn, _| Box::pin(prepare(conn)))
        .connect(&with_create(url))
        .await?;
    Ok(pool)
}

/// Path of the file that the URL names. None for a database in memory.
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

impl Writer {
    /// Starts the writer on a connection of its own; it ends with the last clone of this handle.
    pub async fn start(url: &str) -> Result<Writer, Error> {
        let mut conn = AnyConnection::connect(&with_create(url)).await?;
        prepare(&mut conn).await?;
        let (jobs, mut inbox) = mpsc::channel::<Job>(GROUP * 4);
        tokio::spawn(async move {
            let mut group = Vec::with_capacity(GROUP);
            while inbox.recv_many(&mut group, GROUP).await > 0 {
                commit(&mut conn, std::mem::take(&mut group)).await;
            }
        });
        Ok(Writer(jobs))
    }

    /// Runs `op` in a transaction, perhaps together with those of other callers; answers once it is committed.
    pub async fn write<T: Send + 'static>(&self, op: Op<T>) -> Result<T, Error> {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        let (durable, op) = (op.durable, Arc::new(op));
        let run: Op<()> = Op::transaction(move |conn| {
            let (op, slot) = (Arc::clone(&op), Arc::clone(&filled));
            Box::pin(async move {
                let value = (op.run)(conn).await?;
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                Ok(())
            })
        });
        let gone = || Error::Unavailable("it is shutting down".to_owned());
        let (done, answer) = oneshot::channel();
        self.0.send((run.durable(durable), done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())??;
        let value = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(gone)
    }
}

/// One commit for all; where one of them fails, each in a transaction of its own, so that it fails alone.
async fn commit(conn: &mut AnyConnection, group: Vec<Job>) {
    let ops: Vec<_> = group.iter().map(|(op, _)| op).collect();
    let together = transaction(conn, &ops).await;
    if together.is_ok() || group.len() == 1 {
        let mut together = Some(together);
        for (_, done) in group {
            // A caller that has gone away wants no answer.
            let _ = done.send(together.take().unwrap_or(Ok(())));
        }
        return;
    }
    for (op, done) in group {
        let _ = done.send(transaction(conn, &[&op]).await);
    }
}

fn transaction<'a>(conn: &'a mut AnyConnection, ops: &'a [&'a Op<()>]) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        let at_once = ops.iter().any(|op| op.durable == Durability::Immediate);
        let mut transaction = conn.begin_with(if at_once { AT_ONCE } else { WITH_NEXT }).await?;
        for op in ops {
            (op.run)(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    })
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
