//! Waiting for the disk, for all imports at once: a commit that does not wait costs an import nothing, and one that does,
//! a moment later and on a connection of its own, makes up for all that came before it.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Mutex;

use super::super::Error;

/// Writes to the log and nothing else, so that its commit waits until the log is on disk up to there (a transaction that
/// wrote nothing does not wait).
const FLUSH: &str = "SELECT pg_logical_emit_message(true, 'pausa', '')";

/// Who waits for the disk of one server.
pub(super) struct WalFlush {
    pool: PgPool,
    asked: AtomicU64,
    /// Those who asked before the last flush began.
    served: Mutex<u64>,
}

impl WalFlush {
    /// With a connection of its own, so that no import waits for it with its own in hand.
    pub(super) fn new(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(super::ACQUIRE).connect_lazy_with(options);
        Self { pool, asked: AtomicU64::new(0), served: Mutex::new(0) }
    }

    /// Waits until all that is committed now outlives a power loss. Those who come while one flush runs share the next.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the server is away.
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
