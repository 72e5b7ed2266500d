//! Statements about nodes, purges and uploads.

use crate::store::dialect::SqlDialect;

/// Adds a node with its lease.
pub fn join(dialect: SqlDialect) -> String {
    format!(
        "INSERT INTO nodes (name, lease_until, label, role, version, started_at, max_running, beat_at, running, draining) \
         VALUES ($1, {now} + $2, $3, $4, $5, $6, $7, {now}, 0, 0) \
         ON CONFLICT (name) DO UPDATE SET lease_until = excluded.lease_until, beat_at = excluded.beat_at",
        now = dialect.now(8)
    )
}

/// Renews the lease of the node $1 and writes how it is.
pub fn heartbeat(dialect: SqlDialect) -> String {
    format!(
        "UPDATE nodes SET lease_until = {now} + $2, beat_at = {now}, running = $3, draining = $4, \
         disk_full = $5 WHERE name = $1",
        now = dialect.now(6)
    )
}

/// Reads the end of the next lease of another node than $1, and the number of others that have the name $2 and a lease renewed since $3.
/// A process that died before this node started has not. How many others run tasks and have space on their disks.
pub fn other_nodes(dialect: SqlDialect) -> String {
    format!(
        "SELECT MIN(lease_until) AS lease_until, \
         COUNT(CASE WHEN COALESCE(label, name) = $2 AND beat_at > $3 AND lease_until > {now} THEN 1 END) AS namesakes, \
         COUNT(CASE WHEN COALESCE(role, '') <> 'api' AND COALESCE(draining, 0) = 0 AND disk_full = 0 \
         AND lease_until > {now} THEN 1 END) AS with_space \
         FROM nodes WHERE name <> $1",
        now = dialect.now(4)
    )
}

/// The nodes, and if two thirds of the lease of each have passed without a heartbeat.
pub fn nodes(dialect: SqlDialect) -> String {
    format!(
        "SELECT name AS id, COALESCE(label, name) AS label, COALESCE(role, '') AS role, COALESCE(version, '') AS version, \
         COALESCE(started_at, 0) AS started_at, COALESCE(beat_at, 0) AS beat_at, COALESCE(draining, 0) AS draining, \
         COALESCE(running, 0) AS running, COALESCE(max_running, 0) AS max_running, \
         CASE WHEN {now} > lease_until - (lease_until - COALESCE(beat_at, lease_until)) / 3 THEN 1 ELSE 0 END AS silent \
         FROM nodes ORDER BY COALESCE(label, name), name",
        now = dialect.now(1)
    )
}

/// Reads and locks purges of the kinds $3 that are due at $1, at most $2.
pub fn due_purges(dialect: SqlDialect) -> String {
    let free = dialect.lock_free();
    format!(
        "SELECT task_id AS id, kind, spec, cursor, epoch, state, failures FROM purges \
         WHERE due_at <= $1 AND {} ORDER BY due_at LIMIT $2{free}",
        dialect.among("kind", 3)
    )
}

/// Reads and locks uploads that no task uses and that were used last at $1 or earlier, at most $2.
pub fn unused(dialect: SqlDialect) -> String {
    let free = dialect.lock_free();
    format!(
        "SELECT id FROM uploads WHERE used_at <= $1 \
         AND NOT EXISTS (SELECT 1 FROM tasks WHERE upload_id = uploads.id) ORDER BY used_at LIMIT $2{free}"
    )
}
