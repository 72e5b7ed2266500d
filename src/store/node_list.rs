//! The list of nodes, for clients.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Error, Store, row};
use crate::access::Caller;
use crate::numbers::unsigned;

/// A listed node, as it described itself with its last heartbeat. A node of an earlier version tells less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedNode {
    /// ID of the process.
    pub id: String,
    /// Name, which need not be unique.
    pub name: String,
    /// Its role, such as `worker`.
    pub role: String,
    /// Version of its program.
    pub version: String,
    /// Time of its start.
    pub started_at: Timestamp,
    /// Time of the last renewal of its lease.
    pub beat_at: Timestamp,
    /// True while it shuts down.
    pub draining: bool,
    /// True if two thirds of its lease have passed without a heartbeat.
    pub silent: bool,
    /// Number of tasks that run on it.
    pub running: u64,
    /// Maximum number of long tasks that it runs at once.
    pub max_running: u64,
}

impl Store {
    /// Returns the nodes, ordered by name. A node that has ended, or whose lease has expired, is not listed for long.
    #[tracing::instrument(target = "otlp.store", name = "store.nodes", skip_all, fields(%caller))]
    pub async fn nodes(&self, caller: &Caller, now: Timestamp) -> Result<Vec<ListedNode>, Error> {
        let query = self.sql.dialect.bind_now(sqlx::query(self.sql.nodes.clone()), now);
        let rows = self.read(query.fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(node).collect::<sqlx::Result<_>>()?)
    }
}

fn node(row: &AnyRow) -> sqlx::Result<ListedNode> {
    let number = |column| row.try_get::<i64, _>(column).map(unsigned);
    Ok(ListedNode {
        id: row.try_get("id")?,
        name: row.try_get("label")?,
        role: row.try_get("role")?,
        version: row.try_get("version")?,
        started_at: row::moment(row, "started_at")?,
        beat_at: row::moment(row, "beat_at")?,
        draining: number("draining")? != 0,
        silent: number("silent")? != 0,
        running: number("running")?,
        max_running: number("max_running")?,
    })
}
