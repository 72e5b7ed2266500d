//! Statements that write tasks, and the columns of tasks.

use crate::bus::postgres;
use crate::store::columns::{ColumnDef, HISTORY_COLUMNS, TASK_COLUMNS, WrittenAt};
use crate::store::dialect::{SqlDialect, listed, names};

/// SELECT of tasks, with the columns in the order of [`TASK_COLUMNS`].
pub fn select() -> String {
    format!("SELECT {} FROM tasks", task_columns())
}

/// The names of the columns of a task, in the order of [`TASK_COLUMNS`].
pub fn task_columns() -> String {
    names(&columns(|_| true))
}

/// The columns of a task that are written at these times.
pub fn columns(included: impl Fn(WrittenAt) -> bool) -> Vec<ColumnDef> {
    TASK_COLUMNS.iter().filter(|column| included(column.written)).map(|column| column.def).collect()
}

/// Writes the new tasks of the JSON list $1. Returns their IDs.
pub fn insert(dialect: SqlDialect) -> String {
    let columns = columns(|written| written != WrittenAt::Change);
    let (rows, names) = (dialect.rows(1, &columns), names(&columns));
    // SQLite needs a WHERE to find the end of the FROM.
    format!("{rows}INSERT INTO tasks ({names}) SELECT {names} FROM new WHERE TRUE RETURNING id")
}

/// Writes back those tasks of the JSON list $1 that have not changed since they were read. Each has the version after the one that
/// was read. Returns their IDs.
pub fn update(dialect: SqlDialect) -> String {
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
pub fn add_changes(dialect: SqlDialect, parameter: usize) -> String {
    let (rows, names) = (dialect.rows(parameter, &HISTORY_COLUMNS), names(&HISTORY_COLUMNS));
    let which = match dialect {
        SqlDialect::Sqlite => "TRUE",
        SqlDialect::Postgres => "task_id IN (SELECT id FROM written)",
    };
    format!("{rows}INSERT INTO task_changes ({names}) SELECT {names} FROM new WHERE {which}")
}

/// On PostgreSQL a statement that writes tasks also adds the list $2 to the histories and, if it notifies, sends the events of the
/// list $3, each if its task was written. So it is atomic without a transaction and takes one round trip.
pub fn announced(dialect: SqlDialect, notifies: bool, write: String) -> String {
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
