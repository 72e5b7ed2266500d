//! Statements that read tasks, other than to claim them.

use super::claims::{SHORT, STARTS};
use super::written::select;
use crate::store::dialect::SqlDialect;

/// Reads which tasks changed after ($1, $2), the time and the ID of the last that is known, oldest first.
pub fn changes_after(dialect: SqlDialect) -> String {
    format!(
        "SELECT id, version, {at} AS at FROM tasks{} WHERE {at} >= $1 AND ({at} > $1 OR {id} > $2) \
         ORDER BY {at}, {id} LIMIT 1000",
        dialect.by("tasks_updated"),
        at = dialect.last_update(),
        id = dialect.indexed_id(),
    )
}

/// Reads, for the tasks with the IDs $4, the number of waiting long tasks before each. Reads at most the first $3 of them, and none
/// after the one of priority $1 and ID $2.
pub fn queue_positions(dialect: SqlDialect) -> String {
    format!(
        "SELECT id, earlier FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY priority DESC, id) - 1 AS earlier FROM \
         (SELECT id, priority FROM tasks{} WHERE state = 'QUEUED' AND lane IS NULL AND priority >= $1 \
         AND (priority > $1 OR id <= $2) ORDER BY priority DESC, id LIMIT $3) AS first) AS queue WHERE {}",
        dialect.by("tasks_priority"),
        dialect.among("id", 4)
    )
}

/// Reads tasks that finished after $1 and until $2, oldest first, at most $3.
pub fn finished(dialect: SqlDialect) -> String {
    let select = select();
    format!(
        "{select}{} WHERE finished_at IS NOT NULL AND finished_at > $1 AND finished_at <= $2 \
         ORDER BY finished_at LIMIT $3",
        dialect.by("tasks_finished")
    )
}

/// Reads the time at which the first of the finished tasks finished.
pub fn next_finished(dialect: SqlDialect) -> String {
    format!(
        "SELECT MIN(finished_at) AS due_at FROM tasks{} WHERE finished_at IS NOT NULL",
        dialect.by("tasks_finished")
    )
}

/// Deletes those short tasks of the list $1 that are finished.
pub fn delete_short(dialect: SqlDialect) -> String {
    format!("DELETE FROM tasks WHERE {} AND lane IS NOT NULL AND finished_at IS NOT NULL", dialect.among("id", 1))
}

/// Counts the short tasks that are due at $1, at most $2, and reads the time at which the first was.
pub fn overdue(dialect: SqlDialect) -> String {
    format!(
        "SELECT COUNT(*) AS n, MIN(due_at) AS due_at FROM (SELECT due_at FROM tasks{} \
         WHERE {SHORT} AND due_at <= $1 ORDER BY due_at LIMIT $2) AS overdue",
        dialect.by("tasks_brief")
    )
}

/// Reads the time since which the oldest of the next $1 waiting long tasks waits.
pub fn oldest_queued(dialect: SqlDialect) -> String {
    format!(
        "SELECT MIN(at) AS due_at FROM (SELECT (SELECT MAX(at) FROM task_changes \
         WHERE task_id = queue.id AND to_state = 'QUEUED' AND (from_state IS NULL OR from_state <> 'QUEUED')) AS at FROM \
         (SELECT id FROM tasks{} WHERE state = 'QUEUED' AND lane IS NULL ORDER BY id LIMIT $1) AS queue) AS queued",
        dialect.by("tasks_queue")
    )
}

/// Counts unfinished tasks by kind and state: at most $1 of each index.
pub fn unfinished(dialect: SqlDialect) -> String {
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
