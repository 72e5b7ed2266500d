//! Differences in SQL between the databases.

use jiff::Timestamp;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::columns::ColumnDef;

/// PostgreSQL's clock, in microseconds since 1970-01-01 UTC. Unlike now() it advances within a transaction.
const DATABASE_TIME: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// A statement with its parameters.
pub type AnyQuery = Query<'static, Any, AnyArguments>;

/// Database whose SQL is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlDialect {
    /// One writer at a time: rows that a write has read cannot change during it.
    Sqlite,
    /// Rows to be changed are locked when they are read.
    Postgres,
}

impl SqlDialect {
    /// Suffix of a SELECT of rows to be changed.
    pub fn lock(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "",
            SqlDialect::Postgres => " FOR UPDATE",
        }
    }

    /// Suffix of a SELECT of rows to be changed, without those that other transactions have locked.
    pub fn lock_free(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "",
            SqlDialect::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Clause that names the index to use. SQLite would use another one, read all rows with one of the conditions, and sort them.
    pub fn by(self, index: &str) -> String {
        match self {
            SqlDialect::Sqlite => format!(" INDEXED BY {index}"),
            SqlDialect::Postgres => String::new(),
        }
    }

    /// The ID as the last column of the indexes for lists has it. Its collation is not that of the primary key, so that PostgreSQL
    /// cannot read that in order instead: past all tasks, if it takes a rare kind for a frequent one.
    pub fn indexed_id(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "id",
            SqlDialect::Postgres => r#"id COLLATE "C""#,
        }
    }

    /// The time of the last change of a task, as the index tasks_updated has it: nodes of earlier versions do not write `updated_at`.
    pub fn last_update(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => {
                "MAX(COALESCE(updated_at, 0), COALESCE(finished_at, 0), COALESCE(paused_at, 0), COALESCE(started_at, 0), created_at)"
            }
            SqlDialect::Postgres => "GREATEST(updated_at, finished_at, paused_at, started_at, created_at)",
        }
    }

    /// Prefix of a statement that returns its plan.
    pub fn explain(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "EXPLAIN QUERY PLAN",
            SqlDialect::Postgres => "EXPLAIN",
        }
    }

    /// Column of a plan that has its steps.
    pub fn explained(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "detail",
            SqlDialect::Postgres => "QUERY PLAN",
        }
    }

    /// The trigrams of a text as a parameter of [`SqlDialect::search`].
    pub fn trigrams(self, trigrams: &[String]) -> String {
        match self {
            SqlDialect::Sqlite => {
                let quoted: Vec<_> = trigrams.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
                quoted.join(" AND ")
            }
            SqlDialect::Postgres => serde_json::Value::from(trigrams).to_string(),
        }
    }

    /// SELECT of the column `task_id` of the tasks whose texts have all these trigrams. PostgreSQL also checks that one has the text.
    pub fn search(self, text: &str, trigrams: &str) -> String {
        match self {
            SqlDialect::Sqlite => format!(
                "SELECT task_id FROM task_texts WHERE docid IN \
                 (SELECT rowid FROM task_trigrams WHERE task_trigrams MATCH {trigrams})"
            ),
            SqlDialect::Postgres => format!(
                "SELECT task_id FROM tasks_with({text}, \
                 ARRAY(SELECT json_array_elements_text(CAST({trigrams} AS JSON)))) AS task_id"
            ),
        }
    }

    /// Condition that a task has the text of that parameter in one of its texts, or at the beginning of its ID.
    pub fn contains(self, text: &str) -> String {
        let begins = self.begins("id", text);
        match self {
            SqlDialect::Sqlite => format!("(instr(search_text, {text}) > 0 OR {begins})"),
            SqlDialect::Postgres => format!("(strpos(search_text, {text}) > 0 OR {begins})"),
        }
    }

    /// Condition that the column begins with the text of that parameter.
    pub fn begins(self, column: &str, text: &str) -> String {
        format!("substr({column}, 1, length({text})) = {text}")
    }

    /// Clause that defines `new`: the rows of the JSON list in that parameter, with these columns.
    pub fn rows(self, parameter: usize, columns: &[ColumnDef]) -> String {
        match self {
            // Otherwise each row would be encoded and parsed again for each of its columns.
            SqlDialect::Sqlite => {
                let columns = listed(columns, |column| format!("value->>'{0}' AS {0}", column.name));
                let lines = format!("SELECT jsonb(value) AS value FROM json_each(${parameter})");
                format!("WITH lines AS MATERIALIZED ({lines}), new AS (SELECT {columns} FROM lines) ")
            }
            SqlDialect::Postgres => {
                let columns = listed(columns, |column| format!("{} {}", column.name, column.sql_type));
                let lines = format!("json_to_recordset(CAST(${parameter} AS JSON)) AS line ({columns})");
                format!("WITH new AS MATERIALIZED (SELECT * FROM {lines}) ")
            }
        }
    }

    /// Condition that the column has one of the texts of the JSON list in that parameter. PostgreSQL looks up the elements of an
    /// array one by one, whatever size it assumes for the table.
    pub fn among(self, column: &str, parameter: usize) -> String {
        match self {
            SqlDialect::Sqlite => format!("{column} IN (SELECT value FROM json_each(${parameter}))"),
            SqlDialect::Postgres => format!(
                "{column} = ANY (ARRAY(SELECT value FROM \
                 json_array_elements_text(CAST(${parameter} AS JSON)) AS list (value)))"
            ),
        }
    }

    /// Returns true if the database has a clock of its own.
    pub fn has_clock(self) -> bool {
        self == SqlDialect::Postgres
    }

    /// The current time of the database, in microseconds. SQLite has no clock but the one of its process: there it is that
    /// parameter, the last one, which [`SqlDialect::bind_now`] binds.
    pub fn now(self, parameter: usize) -> String {
        match self {
            SqlDialect::Sqlite => format!("${parameter}"),
            SqlDialect::Postgres => DATABASE_TIME.to_owned(),
        }
    }

    /// Binds the last parameter of a statement with [`SqlDialect::now`], if it has one.
    pub fn bind_now(self, query: AnyQuery, now: Timestamp) -> AnyQuery {
        match self {
            SqlDialect::Sqlite => query.bind(now.as_microsecond()),
            SqlDialect::Postgres => query,
        }
    }

    /// Suffix of a SELECT of rows that must not be deleted before the transaction ends.
    pub fn lock_key(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "",
            SqlDialect::Postgres => " FOR KEY SHARE",
        }
    }
}

/// List of the names of columns.
pub fn names(columns: &[ColumnDef]) -> String {
    listed(columns, |column| column.name.to_owned())
}

/// List of a text for each column.
pub fn listed(columns: &[ColumnDef], as_text: impl Fn(&ColumnDef) -> String) -> String {
    columns.iter().map(as_text).collect::<Vec<_>>().join(", ")
}
