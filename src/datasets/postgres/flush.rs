//! Syncs the commits of all imports together. The commit of a write does not wait for the disk, so it costs an import
//! nothing. A later commit on a separate connection waits for it, and makes all earlier commits durable.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::super::Error;
use super::{PgConnections, in_time};

/// Writes to the WAL only, so that its commit waits until the WAL is on disk up to this record. A transaction that
/// wrote nothing does not wait.
const FLUSH: &str = "SELECT pg_logical_emit_message(true, 'pausa', '')";

/// Shared syncs of one server.
pub(super) struct WalFlush {
    pool: PgConnections,
    requested: AtomicU64,
    /// Number of requests made before the last flush began.
    completed: Mutex<u64>,
}

impl WalFlush {
    /// `pool` has one connection, so that no import waits for it while it uses another connection.
    pub(super) fn new(pool: PgConnections) -> Self {
        Self { pool, requested: AtomicU64::new(0), completed: Mutex::new(0) }
    }

    /// Waits until all current commits survive a power loss. Requests that arrive during a flush share the next one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the server is unavailable.
    pub(super) async fn wait(&self) -> Result<(), Error> {
        let number = self.requested.fetch_add(1, Ordering::SeqCst) + 1;
        let mut completed = self.completed.lock().await;
        if *completed < number {
            let requested = self.requested.load(Ordering::SeqCst);
            in_time(sqlx::query(FLUSH).execute(&self.pool)).await?;
            *completed = requested;
        }
        Ok(())
    }
}
