//! A connection of a pool, and a transaction on one.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Database, PgConnection, Postgres};
use tokio::time::timeout;

use crate::spawn::spawn;

/// Maximum time for the last round trip of a connection that returns to its pool.
const RETURN_LIMIT: Duration = Duration::from_secs(2);

/// A connection of a pool. Unless it is returned, it is closed: an unread response makes it unusable. Closing
/// waits for nothing.
pub struct PooledConnection<DB: Database> {
    connection: PoolConnection<DB>,
    /// True if connections of this pool can be lost. SQLite's cannot, and return to the pool in any case.
    can_be_lost: bool,
}

impl<DB: Database> PooledConnection<DB> {
    pub(super) fn new(connection: PoolConnection<DB>, can_be_lost: bool) -> PooledConnection<DB> {
        PooledConnection { connection, can_be_lost }
    }

    /// Returns the connection to the pool, after a round trip in the background that takes what the server still sends.
    pub fn release(mut self) {
        if self.can_be_lost {
            // sqlx itself would wait for this round trip forever, and keep the place in the pool meanwhile.
            spawn(timeout(RETURN_LIMIT, self.connection.return_to_pool()));
        }
    }
}

impl<DB: Database> Deref for PooledConnection<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.connection
    }
}

impl<DB: Database> DerefMut for PooledConnection<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: Database> Drop for PooledConnection<DB> {
    fn drop(&mut self) {
        if self.can_be_lost {
            // A return that is dropped before its first step closes the socket, without a word to the server, which might not
            // read it. After `release` there is nothing left to return.
            drop(self.connection.return_to_pool());
        }
    }
}

/// A transaction. Unless it is committed or rolled back, its connection is closed, which rolls it back.
pub struct OpenTransaction(PooledConnection<Postgres>);

impl OpenTransaction {
    pub(super) async fn begin(mut connection: PooledConnection<Postgres>) -> sqlx::Result<OpenTransaction> {
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        Ok(OpenTransaction(connection))
    }

    /// Commits and returns the connection to its pool.
    ///
    /// # Errors
    /// The commit failed, or its outcome is unknown.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.end("COMMIT").await
    }

    /// Rolls back and returns the connection to its pool.
    ///
    /// # Errors
    /// The connection was lost.
    pub async fn rollback(self) -> sqlx::Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *self.0).await?;
        self.0.release();
        Ok(())
    }
}

impl Deref for OpenTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for OpenTransaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}
