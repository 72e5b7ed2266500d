//! Syncs the commits of all imports together. The commit of a write does not wait for the disk, so it costs an import
//! nothing. A later commit on a separate connection waits for it, and makes all earlier commits durable.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Mutex;

use super::super::Error;

/// Writes to the WAL only, so that its commit waits until the WAL is on disk up to this record. A transaction that
/// wrote nothing does not wait.
const FLUSH: &str = "SELECT pg_logical_emit_message(true, 'pausa', '')";

/// Shared syncs of one server.
pub(super) struct WalFlush {
    pool: PgPool,
    asked: AtomicU64,
    /// Number of requests made before the last flush began.
    served: Mutex<u64>,
}

impl WalFlush {
    /// Creates a pool of one connection, so that no import waits for it while it uses another connection.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(super::ACQUIRE).connect_lazy_with(options);
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
            sqlx::query(FLUSH).execute(&self.pool).await?;
            *served = asked;
        }
        Ok(())
    }
}
