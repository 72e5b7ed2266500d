//! Conditions on columns as PostgreSQL's SQL. Values are literals.

use super::super::filter::{Condition, ConditionSql};
use super::super::{Column, ColumnType};
use super::schema::{declared, names};

/// The columns of a table.
pub(super) struct SqlColumns {
    names: Vec<String>,
    kinds: Vec<ColumnType>,
}

impl SqlColumns {
    pub(super) fn new(columns: &[Column]) -> SqlColumns {
        SqlColumns { names: names(columns), kinds: columns.iter().map(|column| column.kind).collect() }
    }

    /// Translates conditions, each after AND.
    pub(super) fn conditions(&mut self, conditions: &[Condition]) -> String {
        conditions.iter().map(|condition| format!(" AND {}", condition.sql(self))).collect()
    }
}

impl ConditionSql for SqlColumns {
    const POSITION: &'static str = "strpos";

    fn column(&self, index: usize) -> String {
        let collation = if self.kinds[index] == ColumnType::Text { " COLLATE \"C\"" } else { "" };
        format!("{}{collation}", self.names[index])
    }

    fn value(&mut self, column: usize, value: &str) -> String {
        format!("{}::{}", literal(value), declared(self.kinds[column]))
    }
}

/// Returns a text as an SQL literal that does not depend on the settings of the session.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
