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
    asked: AtomicU64,
    /// Number of requests made before the last flush began.
    served: Mutex<u64>,
}

impl WalFlush {
    /// `pool` has one connection, so that no import waits for it while it uses another connection.
    pub(super) fn new(pool: PgConnections) -> Self {
        Self { pool, asked: AtomicU64::new(0), served: Mutex::new(0) }
    }

    /// Waits until all current commits survive a power loss. Requests that arrive during a flush share the next one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the server is unavailable.
    pub(super) async fn wait(&self) -> Result<(), Error> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = self.served.lock().await;
        if *served < number {
            let asked = self.asked.load(Ordering::SeqCst);
            in_time(sqlx::query(FLUSH).execute(&self.pool)).await?;
            *served = asked;
        }
        Ok(())
    }
}
