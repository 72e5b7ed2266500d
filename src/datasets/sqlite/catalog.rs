//! The catalog: the datasets, their segments, and the pins.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::super::Error;
use crate::lock::lock;

/// Maximum wait for a lock of another connection.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// `appended` has the time of the last APPEND, in microseconds. `used_by` has one row: the task store whose datasets these are.
/// `garbage` lists segments that were published and belong to no dataset any more. Those that a pin reads stay until it is
/// released.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS dataset (
        name TEXT PRIMARY KEY, columns TEXT NOT NULL, rows INTEGER NOT NULL, created_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS dataset_part (
        dataset TEXT NOT NULL, first INTEGER NOT NULL, segment TEXT NOT NULL, content TEXT NOT NULL,
        rows INTEGER NOT NULL, PRIMARY KEY (dataset, first, segment)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS dataset_part_segment ON dataset_part (segment);
    CREATE TABLE IF NOT EXISTS appended (dataset TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pin (
        holder TEXT PRIMARY KEY, columns TEXT NOT NULL, rows INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pin_part (
        holder TEXT NOT NULL, first INTEGER NOT NULL, segment TEXT NOT NULL, content TEXT NOT NULL,
        rows INTEGER NOT NULL, PRIMARY KEY (holder, first, segment)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS pin_part_segment ON pin_part (segment);
    CREATE TABLE IF NOT EXISTS publication (
        task TEXT PRIMARY KEY, rows INTEGER NOT NULL, cursor TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS used_by (store TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS garbage (segment TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
";

/// The only connection to the catalog. Its statements are short.
pub(super) struct Catalog {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Catalog {
    /// Opens the catalog at `path` and creates its tables.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Failed(format!("cannot open {}: {error}", path.display()));
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// Records the task store that uses the catalog. Fails if that is another one.
    pub(super) fn assign(&self, store: &str) -> Result<(), Error> {
        let user = self.write(|transaction| {
            let user: Option<String> =
                transaction.query_row("SELECT store FROM used_by", (), |row| row.get(0)).optional()?;
            if user.is_none() {
                transaction.execute("INSERT INTO used_by (store) VALUES (?1)", [store])?;
            }
            Ok(user)
        })?;
        match user {
            Some(user) if user != store => Err(self.used_by_another()),
            _ => Ok(()),
        }
    }

    fn used_by_another(&self) -> Error {
        let path = self.path.display();
        Error::used_by_another(&path, &format!("sqlite3 {path} 'DELETE FROM used_by'"))
    }

    /// Reads one state of the catalog.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        work(&transaction)
    }

    /// Changes the catalog in one transaction, which an error rolls back.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Transaction) -> Result<T, Error>) -> Result<T, Error> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// A panic elsewhere left no transaction open: dropping it rolled it back.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        lock(&self.connection)
    }
}
