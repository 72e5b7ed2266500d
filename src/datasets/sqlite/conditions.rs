//! Conditions on columns as SQLite's SQL.

use rusqlite::types::ToSqlOutput;

use super::super::filter::{Condition, ConditionSql};
use super::super::{Column, ColumnType, Error};
use super::segment::names;
use super::stored::stored;

/// Conditions with numbered parameters.
pub(super) struct SqlConditions {
    names: Vec<String>,
    kinds: Vec<ColumnType>,
    /// Number of the first parameter.
    first: usize,
    values: Vec<(ColumnType, String)>,
    sql: String,
}

impl SqlConditions {
    /// Translates `conditions` for a table with these columns. The first parameter has the number `first`.
    pub(super) fn new(columns: &[Column], conditions: &[Condition], first: usize) -> SqlConditions {
        let kinds = columns.iter().map(|column| column.kind).collect();
        let mut translated =
            SqlConditions { names: names(columns), kinds, first, values: Vec::new(), sql: String::new() };
        translated.sql =
            conditions.iter().map(|condition| format!(" AND {}", condition.sql(&mut translated))).collect();
        translated
    }

    /// Returns the conditions, each after AND.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns the number of the first parameter that is free.
    pub(super) fn next(&self) -> usize {
        self.first + self.values.len()
    }

    /// Returns the parameters as SQLite stores them.
    pub(super) fn values(&self) -> impl Iterator<Item = Result<ToSqlOutput<'_>, Error>> {
        self.values.iter().map(|(kind, value)| stored(*kind, value))
    }
}

impl ConditionSql for SqlConditions {
    const POSITION: &'static str = "instr";

    fn column(&self, index: usize) -> String {
        self.names[index].clone()
    }

    fn value(&mut self, column: usize, value: &str) -> String {
        let parameter = format!("?{}", self.next());
        self.values.push((self.kinds[column], value.to_owned()));
        parameter
    }
}
