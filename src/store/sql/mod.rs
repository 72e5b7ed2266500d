//! Every statement, once. SQLite and PostgreSQL have the same text except for what [`SqlDialect`] returns.

mod claims;
mod nodes;
mod tasks;
mod written;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use self::claims::{EXPIRES, SHORT, STARTS};
pub use self::written::{select, task_columns};
use super::dialect::SqlDialect;
use super::notice_maker::Notices;

/// The statements, built once for a database.
#[derive(Debug)]
pub struct Sql {
    pub dialect: SqlDialect,
    /// Makes notices of final states.
    pub notices: Notices,
    /// Identifies the events of this process.
    pub source: String,
    pub insert: SqlStr,
    pub update: SqlStr,
    pub get: SqlStr,
    pub get_locked: SqlStr,
    pub versions: SqlStr,
    pub changes_after: SqlStr,
    pub get_all_locked: SqlStr,
    pub by_key: SqlStr,
    pub by_keys: SqlStr,
    /// Adds entries to histories. Only for SQLite; on PostgreSQL `insert` and `update` do it.
    pub add_changes: SqlStr,
    pub holder: SqlStr,
    pub claim: SqlStr,
    pub claim_ends: SqlStr,
    pub claim_short: SqlStr,
    pub due: SqlStr,
    pub expired: SqlStr,
    pub next_short: SqlStr,
    pub next_start: SqlStr,
    pub next_expiry: SqlStr,
    pub listed: SqlStr,
    /// Reads the database's clock, if it has one.
    pub database_time: Option<SqlStr>,
    pub join: SqlStr,
    pub heartbeat: SqlStr,
    pub other_nodes: SqlStr,
    pub dead_nodes: SqlStr,
    pub all_nodes: SqlStr,
    pub owned: SqlStr,
    pub delete: SqlStr,
    pub due_purges: SqlStr,
    pub next_purge: SqlStr,
    pub complete_upload_locked: SqlStr,
    pub upload_locked: SqlStr,
    pub upload_users: SqlStr,
    pub nodes: SqlStr,
    pub node_names: SqlStr,
    pub queue_positions: SqlStr,
    pub unused: SqlStr,
    pub finished: SqlStr,
    pub next_finished: SqlStr,
    pub delete_short: SqlStr,
    pub unfinished: SqlStr,
    pub oldest_queued: SqlStr,
    pub overdue: SqlStr,
}

/// IDs and names of nodes.
const NODE_NAMES: &str =
    "SELECT name AS id, COALESCE(label, name) AS label, COALESCE(beat_at, lease_until) AS beat_at FROM nodes";

/// Counts waiting tasks, at most $1.
pub const WAITING: &str = "SELECT COUNT(*) AS n FROM \
    (SELECT 1 AS one FROM tasks WHERE state IN ('SCHEDULED', 'QUEUED') LIMIT $1) AS waiting";
pub const HISTORY: &str = "SELECT from_state, to_state, at, by_whom, reason FROM task_changes \
    WHERE task_id = $1 ORDER BY version DESC LIMIT 500";
pub const DELETE_NODE: &str = "DELETE FROM nodes WHERE name = $1";
pub const LEAVE: &str =
    "DELETE FROM nodes WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM tasks WHERE owner = $1 LIMIT 1)";
pub const ADD_UPLOAD: &str = "INSERT INTO uploads (id, name, metadata, size, sha256, created_at, used_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub const UPLOADS: &str = "SELECT id, name, metadata, size, sha256, created_at, used_at FROM uploads";
pub const COUNT_UPLOADS: &str = "SELECT COUNT(*) AS n FROM uploads";
pub const NEEDS_UPLOAD: &str = "SELECT id FROM tasks WHERE upload_id = $1 AND finished_at IS NULL ORDER BY id LIMIT 1";
pub const FORGET_UPLOAD: &str = "UPDATE tasks SET upload_id = NULL WHERE upload_id = $1";
pub const REMOVE_UPLOAD: &str = "DELETE FROM uploads WHERE id = $1";
pub const USE_UPLOAD: &str = "UPDATE uploads SET used_at = $2 WHERE id = $1";
pub const SIZE_UPLOAD: &str = "UPDATE uploads SET size = $2 WHERE id = $1 AND size IS NULL";
pub const COMPLETE_UPLOAD: &str = "UPDATE uploads SET size = $2, sha256 = $3, used_at = $4 WHERE id = $1";
pub const NEXT_UNUSED: &str = "SELECT MIN(used_at) AS used_at FROM uploads \
    WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE upload_id = uploads.id)";
pub const DELETE_UPLOAD: &str = "DELETE FROM uploads WHERE id = $1 AND used_at <= $2 \
    AND NOT EXISTS (SELECT 1 FROM tasks WHERE upload_id = uploads.id)";
pub const ADD_PURGE: &str = "INSERT INTO purges (task_id, kind, spec, cursor, epoch, state, due_at, failures) \
    SELECT id, kind, spec, cursor, epoch, state, CAST($3 AS BIGINT), 0 FROM tasks \
    WHERE id = $1 AND version = $2 AND finished_at IS NOT NULL";
pub const DEFER_PURGE: &str = "UPDATE purges SET due_at = $2, failures = failures + 1 WHERE task_id = $1";
pub const PURGED: &str = "DELETE FROM purges WHERE task_id = $1";
pub const FACT: &str = "SELECT value FROM store_facts WHERE name = $1";
pub const ADD_FACT: &str = "INSERT INTO store_facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
pub const ANY_TASK: &str = "SELECT id FROM tasks LIMIT 1";
/// The kinds that any task has.
pub const KINDS: &str = "WITH RECURSIVE kinds (kind) AS (SELECT (SELECT kind FROM tasks ORDER BY kind LIMIT 1) \
    UNION ALL SELECT (SELECT kind FROM tasks WHERE kind > kinds.kind ORDER BY kind LIMIT 1) FROM kinds \
    WHERE kinds.kind IS NOT NULL) SELECT kind FROM kinds WHERE kind IS NOT NULL";
pub const PING: &str = "SELECT COUNT(*) AS n FROM nodes";

impl Sql {
    /// Builds the statements in `dialect`.
    ///
    /// `notifies`: on PostgreSQL, the statements that write tasks send the events to other nodes.
    pub fn new(dialect: SqlDialect, notifies: bool) -> Sql {
        let select = select();
        let lock = dialect.lock();
        let free = dialect.lock_free();
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        Sql {
            dialect,
            notices: Notices::default(),
            source: uuid::Uuid::new_v4().to_string(),
            insert: sql(written::announced(dialect, notifies, written::insert(dialect))),
            update: sql(written::announced(dialect, notifies, written::update(dialect))),
            add_changes: sql(written::add_changes(dialect, 1)),
            get: sql(format!("{select} WHERE id = $1")),
            get_locked: sql(format!("{select} WHERE id = $1{lock}")),
            versions: sql(format!("SELECT id, version FROM tasks WHERE {}", dialect.among("id", 1))),
            changes_after: sql(tasks::changes_after(dialect)),
            get_all_locked: sql(format!("{select} WHERE {} ORDER BY id{lock}", dialect.among("id", 1))),
            by_keys: sql(format!("{select} WHERE {}", dialect.among("idempotency_key", 1))),
            by_key: sql(format!("{select} WHERE idempotency_key = $1")),
            holder: sql(format!(
                "{select} WHERE exclusive = $1 AND state NOT IN ('TERMINATED', 'COMPLETED', 'FAILED')"
            )),
            claim: sql(claims::claim(dialect)),
            claim_ends: sql(claims::claim_ends(dialect)),
            claim_short: sql(claims::claim_short(dialect)),
            due: sql(claims::due(dialect)),
            expired: sql(claims::expired(dialect)),
            next_short: sql(format!(
                "{} AND {}",
                claims::next(dialect, "tasks_brief", SHORT),
                dialect.among("kind", 1)
            )),
            next_start: sql(claims::next(dialect, "tasks_due", STARTS)),
            next_expiry: sql(claims::next(dialect, "tasks_expiry", EXPIRES)),
            listed: sql(format!("SELECT name FROM nodes WHERE name = $1{}", dialect.lock_key())),
            database_time: dialect.has_clock().then(|| sql(format!("SELECT {} AS at", dialect.now(1)))),
            join: sql(nodes::join(dialect)),
            heartbeat: sql(nodes::heartbeat(dialect)),
            other_nodes: sql(nodes::other_nodes(dialect)),
            dead_nodes: sql(format!("{NODE_NAMES} WHERE lease_until < {}{free}", dialect.now(1))),
            all_nodes: sql(format!("{NODE_NAMES}{free}")),
            owned: sql(format!("{select} WHERE owner = $1{lock}")),
            due_purges: sql(nodes::due_purges(dialect)),
            next_purge: sql(format!("SELECT MIN(due_at) AS due_at FROM purges WHERE {}", dialect.among("kind", 1))),
            delete: sql("DELETE FROM tasks WHERE id = $1 AND version = $2".to_owned()),
            complete_upload_locked: sql(format!("SELECT sha256 FROM uploads WHERE id = $1{}", dialect.lock_key())),
            upload_locked: sql(format!("SELECT id FROM uploads WHERE id = $1{lock}")),
            upload_users: sql(format!("{select} WHERE upload_id = $1 ORDER BY id DESC LIMIT $2")),
            nodes: sql(nodes::nodes(dialect)),
            node_names: sql(format!("{NODE_NAMES} WHERE {}", dialect.among("name", 1))),
            queue_positions: sql(tasks::queue_positions(dialect)),
            finished: sql(tasks::finished(dialect)),
            next_finished: sql(tasks::next_finished(dialect)),
            delete_short: sql(tasks::delete_short(dialect)),
            unfinished: sql(tasks::unfinished(dialect)),
            oldest_queued: sql(tasks::oldest_queued(dialect)),
            overdue: sql(tasks::overdue(dialect)),
            unused: sql(nodes::unused(dialect)),
        }
    }
}
