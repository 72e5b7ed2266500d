//! What differs between the databases, and the columns of the tables.

/// What differs between the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlDialect {
    /// One writer at a time: a row that was read in a write cannot change under it.
    Sqlite,
    /// Rows are locked as they are read to be changed.
    Postgres,
}

impl SqlDialect {
    /// Behind a select of what is to be changed.
    pub fn lock(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "",
            SqlDialect::Postgres => " FOR UPDATE",
        }
    }

    /// The same, without rows that others hold.
    pub fn lock_free(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "",
            SqlDialect::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// The way to the rows. SQLite would take the index of the states, read all that wait and sort them.
    pub fn by(self, index: &str) -> String {
        match self {
            SqlDialect::Sqlite => format!(" INDEXED BY {index}"),
            SqlDialect::Postgres => String::new(),
        }
    }

    /// The rows of the JSON list in that parameter, with these columns: to be called `new`.
    pub fn rows(self, parameter: usize, columns: &[Column]) -> String {
        match self {
            // It would write out and read each row again for each of its columns.
            SqlDialect::Sqlite => {
                let columns = listed(columns, |column| format!("value->>'{0}' AS {0}", column.name));
                let lines = format!("SELECT jsonb(value) AS value FROM json_each(${parameter})");
                format!("WITH lines AS MATERIALIZED ({lines}), new AS (SELECT {columns} FROM lines) ")
            }
            SqlDialect::Postgres => {
                let columns = listed(columns, |column| format!("{} {}", column.name, column.holds));
                let lines = format!("json_to_recordset(CAST(${parameter} AS JSON)) AS line ({columns})");
                format!("WITH new AS MATERIALIZED (SELECT * FROM {lines}) ")
            }
        }
    }

    /// The column holds one of the texts of the JSON list $1. As an array they are looked up one by one, whatever PostgreSQL
    /// takes the size of the table for.
    pub fn among(self, column: &str) -> String {
        match self {
            SqlDialect::Sqlite => format!("{column} IN (SELECT value FROM json_each($1))"),
            SqlDialect::Postgres => {
                format!(
                    "{column} = ANY (ARRAY(SELECT value FROM json_array_elements_text(CAST($1 AS JSON)) AS list (value)))"
                )
            }
        }
    }

    /// Behind a select of what must stay until the end of the transaction.
    pub fn keep(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "",
            SqlDialect::Postgres => " FOR KEY SHARE",
        }
    }
}

/// A column of a table, as the rows of a JSON list have it.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What PostgreSQL calls the type of its values.
    pub holds: &'static str,
}

/// A column of texts.
pub const fn text(name: &'static str) -> Column {
    Column { name, holds: "TEXT" }
}

/// A column of whole numbers.
const fn whole(name: &'static str) -> Column {
    Column { name, holds: "BIGINT" }
}

/// What a task keeps from its start to its end.
pub const FIXED: [Column; 13] = [
    text("id"),
    text("kind"),
    text("label"),
    text("spec"),
    text("unit"),
    whole("created_at"),
    whole("start_at"),
    text("exclusive"),
    text("idempotency_key"),
    text("input_sha256"),
    text("upload_id"),
    text("lane"),
    text("trace_parent"),
];

/// What changes of a task; the version first, by which a change knows what it was read from.
pub const CHANGING: [Column; 26] = [
    whole("version"),
    text("state"),
    whole("epoch"),
    text("owner"),
    text("cursor"),
    text("phase"),
    whole("done"),
    whole("total"),
    whole("active"),
    whole("progress_at"),
    whole("attempt"),
    whole("crashes"),
    whole("failures"),
    text("error_code"),
    text("error_message"),
    text("result_name"),
    whole("result_size"),
    text("result_type"),
    text("result_sha256"),
    whole("started_at"),
    whole("finished_at"),
    whole("paused_at"),
    whole("due_at"),
    whole("due_since"),
    whole("expires_at"),
    text("expire_then"),
];

/// What a new task has of these; the rest is null.
pub const NEW: [Column; 13] = [
    whole("version"),
    text("state"),
    whole("epoch"),
    text("phase"),
    whole("done"),
    whole("total"),
    whole("active"),
    whole("progress_at"),
    whole("attempt"),
    whole("crashes"),
    whole("failures"),
    whole("due_at"),
    whole("due_since"),
];

/// A line of a task's history.
pub const CHANGE: [Column; 7] = [
    text("task_id"),
    whole("version"),
    text("from_state"),
    text("to_state"),
    whole("at"),
    text("by_whom"),
    text("reason"),
];

/// Their names, as a list.
pub fn names(columns: &[Column]) -> String {
    listed(columns, |column| column.name.to_owned())
}

/// Their texts, as a list.
pub fn listed(columns: &[Column], as_text: impl Fn(&Column) -> String) -> String {
    columns.iter().map(as_text).collect::<Vec<_>>().join(", ")
}
