//! Every statement, once. The text is the same on SQLite and PostgreSQL but for what [`Dialect`] says.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// What differs between the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// One writer at a time: a row that was read in a write cannot change under it.
    Sqlite,
    /// Rows are locked as they are read to be changed.
    Postgres,
}

impl Dialect {
    fn lock(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }

    fn lock_free(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    fn keep(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR KEY SHARE",
        }
    }
}

/// The columns of a task, in the order in which they are read and bound.
pub const COLUMNS: &str = "id, kind, state, epoch, version, owner, label, spec, cursor, phase, unit, done, total, active, \
    progress_at, attempt, crashes, failures, error_code, error_message, result_name, result_size, result_type, \
    result_sha256, created_at, start_at, started_at, finished_at, paused_at, due_at, expires_at, expire_then, exclusive, \
    idempotency_key, upload_id";

/// How many of them.
pub const WIDTH: usize = 35;

/// The statements, made once for a database.
#[derive(Debug)]
pub struct Sql {
    pub dialect: Dialect,
    /// What tells this store's announcements from those of others.
    pub source: String,
    pub insert: SqlStr,
    pub update: SqlStr,
    pub get: SqlStr,
    pub get_locked: SqlStr,
    pub by_key: SqlStr,
    pub holder: SqlStr,
    pub waiting: SqlStr,
    pub claim: SqlStr,
    pub claim_ends: SqlStr,
    pub due: SqlStr,
    pub listed: SqlStr,
    pub dead_nodes: SqlStr,
    pub owned: SqlStr,
    pub delete: SqlStr,
    pub upload_kept: SqlStr,
    pub upload_locked: SqlStr,
    pub unused: SqlStr,
}

pub const NEXT_DUE: &str =
    "SELECT MIN(due_at) AS due_at FROM tasks WHERE due_at IS NOT NULL AND state IN ('SCHEDULED', 'PAUSED')";
pub const ADD_CHANGE: &str = "INSERT INTO task_changes (task_id, version, from_state, to_state, at, by_whom, reason) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub const HISTORY: &str = "SELECT from_state, to_state, at, by_whom, reason FROM task_changes \
    WHERE task_id = $1 ORDER BY version";
pub const JOIN: &str = "INSERT INTO nodes (name, lease_until) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET lease_until = excluded.lease_until";
pub const HEARTBEAT: &str = "UPDATE nodes SET lease_until = $2 WHERE name = $1";
pub const FORGET_NODE: &str = "DELETE FROM nodes WHERE name = $1";
pub const ADD_UPLOAD: &str = "INSERT INTO uploads (id, name, metadata, size, sha256, created_at, used_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub const UPLOAD: &str = "SELECT id, name, metadata, size, sha256, created_at, used_at FROM uploads WHERE id = $1";
pub const USE_UPLOAD: &str = "UPDATE uploads SET used_at = $2 WHERE id = $1";
pub const SIZE_UPLOAD: &str = "UPDATE uploads SET size = $2 WHERE id = $1 AND size IS NULL";
pub const COMPLETE_UPLOAD: &str = "UPDATE uploads SET size = $2, sha256 = $3, used_at = $4 WHERE id = $1";
pub const NEXT_UNUSED: &str = "SELECT MIN(used_at) AS used_at FROM uploads \
    WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE upload_id = uploads.id)";
pub const DELETE_UPLOAD: &str = "DELETE FROM uploads WHERE id = $1 AND used_at <= $2 \
    AND NOT EXISTS (SELECT 1 FROM tasks WHERE upload_id = uploads.id)";
pub const NOTIFY: &str = "SELECT CAST(pg_notify('pausa_tasks', $1) AS TEXT)";
pub const PING: &str = "SELECT COUNT(*) AS n FROM nodes";

impl Sql {
    /// The statements in `dialect`.
    pub fn new(dialect: Dialect) -> Sql {
        let select = format!("SELECT {COLUMNS} FROM tasks");
        let lock = dialect.lock();
        let free = dialect.lock_free();
        let text = |text: String| AssertSqlSafe(text).into_sql_str();
        Sql {
            dialect,
            source: uuid::Uuid::new_v4().to_string(),
            insert: text(format!("INSERT INTO tasks ({COLUMNS}) VALUES ({})", places())),
            update: text(update()),
            get: text(format!("{select} WHERE id = $1")),
            get_locked: text(format!("{select} WHERE id = $1{lock}")),
            by_key: text(format!("{select} WHERE idempotency_key = $1")),
            holder: text(format!(
                "{select} WHERE exclusive = $1 AND state NOT IN ('TERMINATED', 'COMPLETED', 'FAILED')"
            )),
            waiting: text("SELECT COUNT(*) AS n FROM tasks WHERE state IN ('SCHEDULED', 'QUEUED')".to_owned()),
            claim: text(format!("{select} WHERE state = 'QUEUED' ORDER BY id LIMIT $1{free}")),
            claim_ends: text(format!(
                "{select} WHERE state IN ('FINISHING', 'PAUSING', 'TERMINATING') AND owner IS NULL \
                 AND (due_at IS NULL OR due_at <= $1) ORDER BY id LIMIT $2{free}"
            )),
            due: text(format!(
                "{select} WHERE due_at <= $1 AND state IN ('SCHEDULED', 'PAUSED') ORDER BY due_at LIMIT $2{free}"
            )),
            listed: text(format!("SELECT name FROM nodes WHERE name = $1{}", dialect.keep())),
            dead_nodes: text(format!("SELECT name FROM nodes WHERE lease_until < $1{free}")),
            owned: text(format!("{select} WHERE owner = $1{lock}")),
            delete: text("DELETE FROM tasks WHERE id = $1 AND version = $2".to_owned()),
            upload_kept: text(format!("SELECT sha256 FROM uploads WHERE id = $1{}", dialect.keep())),
            upload_locked: text(format!("SELECT id FROM uploads WHERE id = $1{lock}")),
            unused: text(format!(
                "SELECT id FROM uploads WHERE used_at <= $1 \
                 AND NOT EXISTS (SELECT 1 FROM tasks WHERE upload_id = uploads.id) ORDER BY used_at LIMIT $2{free}"
            )),
        }
    }
}

fn places() -> String {
    (1..=WIDTH).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// Writes a whole task back, if nobody changed it since it was read: $1 is its id, $36 the version that was read.
fn update() -> String {
    let sets: Vec<_> = COLUMNS.split(", ").zip(1..).skip(1).map(|(column, n)| format!("{column} = ${n}")).collect();
    format!("UPDATE tasks SET {} WHERE id = $1 AND version = ${}", sets.join(", "), WIDTH + 1)
}
