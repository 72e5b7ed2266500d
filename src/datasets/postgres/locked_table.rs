//! Read-only transactions on the table of a snapshot. They lock the table, so it is not moved meanwhile, and write
//! nothing.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use futures_util::FutureExt;
use sqlx::{PgConnection, Postgres};

use super::super::{Dataset, DatasetName, Error, Snapshot};
use super::PgConnections;
use super::schema::run_statement;
use super::{in_time, listing, pins};
use crate::database::PooledConnection;
use crate::lock::lock;

/// Maximum number of lookups of a table that is moved meanwhile.
const TRIES: usize = 5;

/// Forces the index of row numbers, even while no statistics suggest it. Without the index the estimated cost is so high that
/// the statement would be compiled, which takes many seconds for a wide table.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL jit = off; \
    SET LOCAL max_parallel_workers_per_gather = 0";

/// The table of a snapshot.
pub(super) struct SnapshotTable {
    pool: PgConnections,
    snapshot: Snapshot,
    /// Last known name, quoted.
    name: Mutex<Option<String>>,
}

/// A connection in such a transaction. If it is not committed, the connection is closed: a response that is not read
/// completely makes the connection unusable, and closing it stops the server at once.
pub(super) struct LockedTable {
    connection: PooledConnection<Postgres>,
    /// Name of the table, quoted.
    pub(super) table: String,
}

impl SnapshotTable {
    pub(super) fn new(pool: &PgConnections, snapshot: &Snapshot) -> Self {
        Self { pool: pool.clone(), snapshot: snapshot.clone(), name: Mutex::new(None) }
    }

    /// Returns the connections of the table's database.
    pub(super) fn connections(&self) -> &PgConnections {
        &self.pool
    }

    pub(super) async fn lock(&self) -> Result<LockedTable, Error> {
        self.pool.during(in_time(self.lock_as_named()).boxed()).await
    }

    async fn lock_as_named(&self) -> Result<LockedTable, Error> {
        for _ in 0..TRIES {
            let mut connection = self.pool.acquire().await?;
            let known = self.name().clone();
            let table = match known {
                Some(table) => table,
                None => pins::find_table(&mut connection, &self.snapshot).await?,
            };
            let mut locked = LockedTable { connection, table };
            // Another table may have been given this name before the lock. Then the snapshot's table was moved.
            let lock = format!("{BEGIN}; LOCK TABLE {} IN ACCESS SHARE MODE", locked.table);
            if run_statement(&mut locked, lock).await.is_ok()
                && pins::find_table(&mut locked, &self.snapshot).await? == locked.table
            {
                *self.name() = Some(locked.table.clone());
                return Ok(locked);
            }
            *self.name() = None;
        }
        Err(Error::Unavailable("the table of the snapshot cannot be locked".into()))
    }

    fn name(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.name)
    }
}

impl LockedTable {
    /// Returns a transaction that reads the dataset as it is now. [`Error::Missing`] if it does not exist.
    pub(super) async fn dataset(pool: &PgConnections, name: &DatasetName) -> Result<(LockedTable, Dataset), Error> {
        let connection = pool.acquire().await?;
        let mut locked = LockedTable { connection, table: String::new() };
        run_statement(&mut locked, "BEGIN".into()).await?;
        match listing::find_for_share(&mut locked, name).await? {
            Some(entry) => {
                locked.table = entry.table();
                Ok((locked, entry.dataset))
            }
            None => {
                locked.commit().await?;
                Err(Error::Missing(name.clone()))
            }
        }
    }

    pub(super) async fn commit(mut self) -> Result<(), Error> {
        run_statement(&mut self, "COMMIT".into()).await?;
        self.connection.release();
        Ok(())
    }
}

impl Deref for LockedTable {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for LockedTable {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
