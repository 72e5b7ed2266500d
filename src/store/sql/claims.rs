//! Statements that read the tasks that a node may claim, and the time at which the next is due.

use super::written::select;
use crate::store::dialect::SqlDialect;

/// Conditions of the indexes of due times: short tasks, starts and retries, ends of pauses.
pub const SHORT: &str = "state IN ('SCHEDULED', 'QUEUED') AND lane IS NOT NULL";
pub const STARTS: &str = "state = 'SCHEDULED' AND lane IS NULL";
pub const EXPIRES: &str = "state = 'PAUSED' AND due_at IS NOT NULL";

/// Reads and locks the next $1 waiting long tasks of the kinds $2.
pub fn claim(dialect: SqlDialect) -> String {
    let (select, free) = (select(), dialect.lock_free());
    format!(
        "{select}{} WHERE state = 'QUEUED' AND lane IS NULL AND {} ORDER BY priority DESC, id LIMIT $1{free}",
        dialect.by("tasks_priority"),
        dialect.among("kind", 2)
    )
}

/// Reads and locks tasks without an owner whose end is due at $1, of the kinds $3, at most $2.
pub fn claim_ends(dialect: SqlDialect) -> String {
    let (select, free) = (select(), dialect.lock_free());
    format!(
        "{select} WHERE state IN ('FINISHING', 'PAUSING', 'TERMINATING') AND owner IS NULL \
         AND (due_at IS NULL OR due_at <= $1) AND {} ORDER BY id LIMIT $2{free}",
        dialect.among("kind", 3)
    )
}

/// Reads and locks short tasks of the kinds $4 that are due after $1 and until $2, at most $3.
pub fn claim_short(dialect: SqlDialect) -> String {
    let (select, free) = (select(), dialect.lock_free());
    format!(
        "{select}{} WHERE {SHORT} AND due_at > $1 AND due_at <= $2 AND {} ORDER BY due_at LIMIT $3{free}",
        dialect.by("tasks_brief"),
        dialect.among("kind", 4)
    )
}

/// Reads and locks long tasks whose start or retry is due at $1, at most $2.
pub fn due(dialect: SqlDialect) -> String {
    let (select, free) = (select(), dialect.lock_free());
    format!("{select}{} WHERE {STARTS} AND due_at <= $1 ORDER BY due_at LIMIT $2{free}", dialect.by("tasks_due"))
}

/// Reads and locks paused tasks whose pause ends at $1, at most $2.
pub fn expired(dialect: SqlDialect) -> String {
    let (select, free) = (select(), dialect.lock_free());
    format!("{select}{} WHERE {EXPIRES} AND due_at <= $1 ORDER BY due_at LIMIT $2{free}", dialect.by("tasks_expiry"))
}

/// Earliest due time in an index.
pub fn next(dialect: SqlDialect, index: &str, of: &str) -> String {
    format!("SELECT MIN(due_at) AS due_at FROM tasks{} WHERE {of}", dialect.by(index))
}
