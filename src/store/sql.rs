//! Every statement, once. SQLite and PostgreSQL have the same text except for what [`SqlDialect`] returns.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::bus::postgres;

use super::columns::{ColumnDef, HISTORY_COLUMNS, TASK_COLUMNS, WrittenAt};
use super::dialect::{SqlDialect, listed, names};
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
    pub queued_before: SqlStr,
    pub unused: SqlStr,
    pub finished: SqlStr,
    pub next_finished: SqlStr,
    pub delete_short: SqlStr,
    pub unfinished: SqlStr,
    pub oldest_queued: SqlStr,
    pub overdue: SqlStr,
}

/// IDs and names of nodes.
const NODE_NAMES: &str = "SELECT name AS id, COALESCE(label, name) AS label FROM nodes";

/// Conditions of the indexes of due times: short tasks, starts and retries, ends of pauses.
const SHORT: &str = "state IN ('SCHEDULED', 'QUEUED') AND lane IS NOT NULL";
const STARTS: &str = "state = 'SCHEDULED' AND lane IS NULL";
const EXPIRES: &str = "state = 'PAUSED' AND due_at IS NOT NULL";

/// Counts waiting tasks, at most $1.
pub const WAITING: &str = "SELECT COUNT(*) AS n FROM \
    (SELECT 1 AS one FROM tasks WHERE state IN ('SCHEDULED', 'QUEUED') LIMIT $1) AS waiting";
pub const HISTORY: &str = "SELECT from_state, to_state, at, by_whom, reason FROM task_changes \
    WHERE task_id = $1 ORDER BY version DESC LIMIT 500";
pub const NODE_NAME: &str = "SELECT COALESCE(label, name) AS label FROM nodes WHERE name = $1";
pub const DELETE_NODE: &str = "DELETE FROM nodes WHERE name = $1";
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
            insert: sql(announced(dialect, notifies, insert(dialect))),
            update: sql(announced(dialect, notifies, update(dialect))),
            add_changes: sql(add_changes(dialect, 1)),
            get: sql(format!("{select} WHERE id = $1")),
            get_locked: sql(format!("{select} WHERE id = $1{lock}")),
            versions: sql(format!("SELECT id, version FROM tasks WHERE {}", dialect.among("id", 1))),
            changes_after: sql(format!(
                "SELECT id, version, {at} AS at FROM tasks{} WHERE {at} >= $1 AND ({at} > $1 OR {id} > $2) \
                 ORDER BY {at}, {id} LIMIT 1000",
                dialect.by("tasks_updated"),
                at = dialect.last_update(),
                id = dialect.indexed_id(),
            )),
            get_all_locked: sql(format!("{select} WHERE {} ORDER BY id{lock}", dialect.among("id", 1))),
            by_keys: sql(format!("{select} WHERE {}", dialect.among("idempotency_key", 1))),
            by_key: sql(format!("{select} WHERE idempotency_key = $1")),
            holder: sql(format!(
                "{select} WHERE exclusive = $1 AND state NOT IN ('TERMINATED', 'COMPLETED', 'FAILED')"
            )),
            claim: sql(format!(
                "{select}{} WHERE state = 'QUEUED' AND lane IS NULL AND {} ORDER BY priority DESC, id LIMIT $1{free}",
                dialect.by("tasks_priority"),
                dialect.among("kind", 2)
            )),
            claim_ends: sql(format!(
                "{select} WHERE state IN ('FINISHING', 'PAUSING', 'TERMINATING') AND owner IS NULL \
                 AND (due_at IS NULL OR due_at <= $1) AND {} ORDER BY id LIMIT $2{free}",
                dialect.among("kind", 3)
            )),
            claim_short: sql(format!(
                "{select}{} WHERE {SHORT} AND due_at > $1 AND due_at <= $2 AND {} ORDER BY due_at LIMIT $3{free}",
                dialect.by("tasks_brief"),
                dialect.among("kind", 4)
            )),
            due: sql(format!(
                "{select}{} WHERE {STARTS} AND due_at <= $1 ORDER BY due_at LIMIT $2{free}",
                dialect.by("tasks_due")
            )),
            expired: sql(format!(
                "{select}{} WHERE {EXPIRES} AND due_at <= $1 ORDER BY due_at LIMIT $2{free}",
                dialect.by("tasks_expiry")
            )),
            next_short: sql(format!("{} AND {}", next(dialect, "tasks_brief", SHORT), dialect.among("kind", 1))),
            next_start: sql(next(dialect, "tasks_due", STARTS)),
            next_expiry: sql(next(dialect, "tasks_expiry", EXPIRES)),
            listed: sql(format!("SELECT name FROM nodes WHERE name = $1{}", dialect.lock_key())),
            database_time: dialect.has_clock().then(|| sql(format!("SELECT {} AS at", dialect.now(1)))),
            join: sql(join(dialect)),
            heartbeat: sql(format!(
                "UPDATE nodes SET lease_until = {now} + $2, beat_at = {now}, running = $3, draining = $4, \
                 disk_full = $5 WHERE name = $1",
                now = dialect.now(6)
            )),
            other_nodes: sql(other_nodes(dialect)),
            dead_nodes: sql(format!("{NODE_NAMES} WHERE lease_until < {}{free}", dialect.now(1))),
            all_nodes: sql(format!("{NODE_NAMES}{free}")),
            owned: sql(format!("{select} WHERE owner = $1{lock}")),
            due_purges: sql(format!(
                "SELECT task_id AS id, kind, spec, cursor, epoch, state, failures FROM purges \
                 WHERE due_at <= $1 AND {} ORDER BY due_at LIMIT $2{free}",
                dialect.among("kind", 3)
            )),
            next_purge: sql(format!("SELECT MIN(due_at) AS due_at FROM purges WHERE {}", dialect.among("kind", 1))),
            delete: sql("DELETE FROM tasks WHERE id = $1 AND version = $2".to_owned()),
            complete_upload_locked: sql(format!("SELECT sha256 FROM uploads WHERE id = $1{}", dialect.lock_key())),
            upload_locked: sql(format!("SELECT id FROM uploads WHERE id = $1{lock}")),
            upload_users: sql(format!("{select} WHERE upload_id = $1 ORDER BY id DESC LIMIT $2")),
            nodes: sql(nodes(dialect)),
            queued_before: sql(format!(
                "SELECT COUNT(*) AS n FROM (SELECT 1 AS one FROM tasks{} WHERE state = 'QUEUED' AND lane IS NULL \
                 AND priority >= $1 AND (priority > $1 OR id < $2) LIMIT $3) AS earlier",
                dialect.by("tasks_priority")
            )),
            finished: sql(format!(
                "{select}{} WHERE finished_at IS NOT NULL AND finished_at > $1 AND finished_at <= $2 \
                 ORDER BY finished_at LIMIT $3",
                dialect.by("tasks_finished")
            )),
            next_finished: sql(format!(
                "SELECT MIN(finished_at) AS due_at FROM tasks{} WHERE finished_at IS NOT NULL",
                dialect.by("tasks_finished")
            )),
            delete_short: sql(format!(
                "DELETE FROM tasks WHERE {} AND lane IS NOT NULL AND finished_at IS NOT NULL",
                dialect.among("id", 1)
            )),
            unfinished: sql(unfinished(dialect)),
            oldest_queued: sql(format!(
                "SELECT MIN(at) AS due_at FROM (SELECT (SELECT MAX(at) FROM task_changes \
                 WHERE task_id = queue.id AND to_state = 'QUEUED' AND (from_state IS NULL OR from_state <> 'QUEUED')) AS at FROM \
                 (SELECT id FROM tasks{} WHERE state = 'QUEUED' AND lane IS NULL ORDER BY id LIMIT $1) AS queue) AS queued",
                dialect.by("tasks_queue")
            )),
            overdue: sql(format!(
                "SELECT COUNT(*) AS n, MIN(due_at) AS due_at FROM (SELECT due_at FROM tasks{} \
                 WHERE {SHORT} AND due_at <= $1 ORDER BY due_at LIMIT $2) AS overdue",
                dialect.by("tasks_brief")
            )),
            unused: sql(format!(
                "SELECT id FROM uploads WHERE used_at <= $1 \
                 AND NOT EXISTS (SELECT 1 FROM tasks WHERE upload_id = uploads.id) ORDER BY used_at LIMIT $2{free}"
            )),
        }
    }
}

/// Adds a node with its lease.
fn join(dialect: SqlDialect) -> String {
    format!(
        "INSERT INTO nodes (name, lease_until, label, role, version, started_at, max_running, beat_at, running, draining) \
         VALUES ($1, {now} + $2, $3, $4, $5, $6, $7, {now}, 0, 0) \
         ON CONFLICT (name) DO UPDATE SET lease_until = excluded.lease_until, beat_at = excluded.beat_at",
        now = dialect.now(8)
    )
}

/// Reads the end of the next lease of another node than $1, and the number of others that have the name $2 and a lease renewed since $3.
/// A process that died before this node started has not. How many others run tasks and have space on their disks.
fn other_nodes(dialect: SqlDialect) -> String {
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
fn nodes(dialect: SqlDialect) -> String {
    format!(
        "SELECT name AS id, COALESCE(label, name) AS label, COALESCE(role, '') AS role, COALESCE(version, '') AS version, \
         COALESCE(started_at, 0) AS started_at, COALESCE(beat_at, 0) AS beat_at, COALESCE(draining, 0) AS draining, \
         COALESCE(running, 0) AS running, COALESCE(max_running, 0) AS max_running, \
         CASE WHEN {now} > lease_until - (lease_until - COALESCE(beat_at, lease_until)) / 3 THEN 1 ELSE 0 END AS silent \
         FROM nodes ORDER BY COALESCE(label, name), name",
        now = dialect.now(1)
    )
}

/// Counts unfinished tasks by kind and state: at most $1 of each index.
fn unfinished(dialect: SqlDialect) -> String {
    let part = |index: &str, filter: &str, order: &str| {
        let by = dialect.by(index);
        format!("SELECT * FROM (SELECT kind, state FROM tasks{by} WHERE {filter} ORDER BY {order} LIMIT $1) AS part")
    };
    let waiting = [
        part("tasks_brief", SHORT, "due_at"),
        part("tasks_due", STARTS, "due_at"),
        part("tasks_queue", "state = 'QUEUED' AND lane IS NULL", "id"),
    ];
    let others = ["RUNNING", "FINISHING", "PAUSING", "PAUSED", "TERMINATING"];
    let others = others.map(|state| part("tasks_state", &format!("state = '{state}'"), "id"));
    let all = waiting.into_iter().chain(others).collect::<Vec<_>>().join(" UNION ALL ");
    format!("SELECT kind, state, COUNT(*) AS n FROM ({all}) AS unfinished GROUP BY kind, state")
}

/// Earliest due time in an index.
fn next(dialect: SqlDialect, index: &str, of: &str) -> String {
    format!("SELECT MIN(due_at) AS due_at FROM tasks{} WHERE {of}", dialect.by(index))
}

/// SELECT of tasks, with the columns in the order of [`TASK_COLUMNS`].
pub fn select() -> String {
    format!("SELECT {} FROM tasks", task_columns())
}

/// The names of the columns of a task, in the order of [`TASK_COLUMNS`].
pub fn task_columns() -> String {
    names(&columns(|_| true))
}

/// The columns of a task that are written at these times.
fn columns(included: impl Fn(WrittenAt) -> bool) -> Vec<ColumnDef> {
    TASK_COLUMNS.iter().filter(|column| included(column.written)).map(|column| column.def).collect()
}

/// Writes the new tasks of the JSON list $1. Returns their IDs.
fn insert(dialect: SqlDialect) -> String {
    let columns = columns(|written| written != WrittenAt::Change);
    let (rows, names) = (dialect.rows(1, &columns), names(&columns));
    // SQLite needs a WHERE to find the end of the FROM.
    format!("{rows}INSERT INTO tasks ({names}) SELECT {names} FROM new WHERE TRUE RETURNING id")
}

/// Writes back those tasks of the JSON list $1 that have not changed since they were read. Each has the version after the one that
/// was read. Returns their IDs.
fn update(dialect: SqlDialect) -> String {
    let changing = columns(|written| written != WrittenAt::Start);
    let id = TASK_COLUMNS.iter().map(|column| column.def).filter(|def| def.name == "id");
    let columns: Vec<_> = id.chain(changing.iter().copied()).collect();
    let (rows, sets) = (dialect.rows(1, &columns), listed(&changing, |column| format!("{0} = new.{0}", column.name)));
    let by_id = match dialect {
        SqlDialect::Sqlite => "",
        SqlDialect::Postgres => " AND tasks.id = ANY (ARRAY(SELECT id FROM new))",
    };
    format!(
        "{rows}UPDATE tasks SET {sets} FROM new \
         WHERE tasks.id = new.id AND tasks.version = new.version - 1{by_id} RETURNING tasks.id"
    )
}

/// Adds the entries of the JSON list in that parameter to the histories.
fn add_changes(dialect: SqlDialect, parameter: usize) -> String {
    let (rows, names) = (dialect.rows(parameter, &HISTORY_COLUMNS), names(&HISTORY_COLUMNS));
    let which = match dialect {
        SqlDialect::Sqlite => "TRUE",
        SqlDialect::Postgres => "task_id IN (SELECT id FROM written)",
    };
    format!("{rows}INSERT INTO task_changes ({names}) SELECT {names} FROM new WHERE {which}")
}

/// On PostgreSQL a statement that writes tasks also adds the list $2 to the histories and, if it notifies, sends the events of the
/// list $3, each if its task was written. So it is atomic without a transaction and takes one round trip.
fn announced(dialect: SqlDialect, notifies: bool, write: String) -> String {
    let sent = if notifies { postgres::notify("events.event") } else { "''".to_owned() };
    match dialect {
        SqlDialect::Sqlite => write,
        SqlDialect::Postgres => format!(
            "WITH written AS ({write}), added AS ({}) \
             SELECT events.id, CAST({} AS TEXT) \
             FROM json_to_recordset(CAST($3 AS JSON)) AS events (id TEXT, event TEXT) \
             WHERE events.id IN (SELECT id FROM written)",
            add_changes(dialect, 2),
            sent,
        ),
    }
}
