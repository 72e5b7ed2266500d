//! Selection of columns and rows of a dataset.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Column, ColumnType, value};

/// A condition on a column: `from <= value < to`, or equality, compared by the column's type (TEXT by bytes).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnFilter {
    /// Name of the column.
    pub column: String,
    /// Exact value.
    pub equals: Option<String>,
    /// Inclusive lower bound.
    pub from: Option<String>,
    /// Exclusive upper bound.
    pub to: Option<String>,
}

/// Columns and conditions, checked against a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Selected columns, as indexes of all columns.
    pub(super) chosen: Vec<usize>,
    pub(super) conditions: Vec<Condition>,
}

/// A comparison with a value in the form of [`ColumnType::canonical`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) column: usize,
    pub(super) operator: &'static str,
    pub(super) value: String,
}

/// A selection that does not match the dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidSelection {
    /// Invalid argument: `columns` or `where`.
    pub field: &'static str,
    /// The problem and what is allowed.
    pub message: String,
}

impl Selection {
    /// Selects columns by name in the given order, or all, and the rows that match all filters.
    ///
    /// # Errors
    /// An unknown or repeated column, a value that does not match the type of its column, or a filter without a
    /// condition or without a possible match.
    pub fn of(
        columns: &[Column],
        chosen: Option<&[String]>,
        filters: &[ColumnFilter],
    ) -> Result<Selection, InvalidSelection> {
        let chosen = match chosen {
            Some(names) => choose(columns, names)?,
            None => (0..columns.len()).collect(),
        };
        let mut conditions = Vec::new();
        for filter in filters {
            conditions.extend(filter.conditions(columns)?);
        }
        Ok(Selection { chosen, conditions })
    }

    /// Returns whether all rows are selected.
    pub fn is_every_row(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Returns the selected ones of `columns`.
    pub fn columns<'a>(&self, columns: &'a [Column]) -> Vec<&'a Column> {
        self.chosen.iter().filter_map(|index| columns.get(*index)).collect()
    }
}

impl ColumnFilter {
    fn conditions(&self, columns: &[Column]) -> Result<Vec<Condition>, InvalidSelection> {
        let column = find(columns, &self.column, "where")?;
        let asked = [("=", &self.equals), (">=", &self.from), ("<", &self.to)];
        let mut conditions = Vec::new();
        for (operator, text) in asked.into_iter().filter_map(|(operator, text)| Some((operator, text.as_deref()?))) {
            conditions.push(Condition { column, operator, value: self.value(columns[column].kind, text)? });
        }
        match conditions.as_slice() {
            [] => Err(self.refused("needs one of equals, from and to")),
            [equal, _, ..] if equal.operator == "=" => Err(self.refused("accepts either equals, or from and to")),
            [from, to] if compare(columns[column].kind, &from.value, &to.value) != Ordering::Less => {
                Err(self.refused(&format!("from {:?} must be less than to {:?}", from.value, to.value)))
            }
            _ => Ok(conditions),
        }
    }

    fn value(&self, kind: ColumnType, text: &str) -> Result<String, InvalidSelection> {
        match kind.canonical(text) {
            Ok(value) if value.contains('\0') => Err(self.refused("a value with a NUL character never matches")),
            Ok(value) => Ok(value.into_owned()),
            Err(error) => Err(self.refused(&error.to_string())),
        }
    }

    fn refused(&self, reason: &str) -> InvalidSelection {
        InvalidSelection { field: "where", message: format!("Filter on column {:?}: {reason}.", self.column) }
    }
}

fn choose(columns: &[Column], names: &[String]) -> Result<Vec<usize>, InvalidSelection> {
    let refused = |message| Err(InvalidSelection { field: "columns", message });
    if names.is_empty() {
        return refused("columns is empty. Omit it to select all columns.".to_owned());
    }
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(doubled) => refused(format!("Column {doubled:?} is selected twice.")),
        None => names.iter().map(|name| find(columns, name, "columns")).collect(),
    }
}

fn find(columns: &[Column], name: &str, field: &'static str) -> Result<usize, InvalidSelection> {
    let unknown = || {
        let names: Vec<_> = columns.iter().take(50).map(|column| column.name.as_str()).collect();
        InvalidSelection { field, message: format!("Column {name:?} not found. Columns: {}.", names.join(", ")) }
    };
    columns.iter().position(|column| column.name == name).ok_or_else(unknown)
}

/// Compares two values of a type in canonical form.
fn compare(kind: ColumnType, one: &str, other: &str) -> Ordering {
    match kind {
        ColumnType::Integer => one.parse::<i64>().ok().cmp(&other.parse().ok()),
        ColumnType::Real => value::real(one).partial_cmp(&value::real(other)).unwrap_or(Ordering::Equal),
        ColumnType::Timestamp => value::timestamp(one).cmp(&value::timestamp(other)),
        ColumnType::Text | ColumnType::Boolean | ColumnType::Date => one.cmp(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let kinds = [("name", ColumnType::Text), ("n", ColumnType::Integer), ("at", ColumnType::Timestamp)];
        kinds.into_iter().map(|(name, kind)| Column { name: name.to_owned(), kind }).collect()
    }

    fn filter(column: &str, equals: &str, from: &str, to: &str) -> ColumnFilter {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        ColumnFilter { column: column.to_owned(), equals: given(equals), from: given(from), to: given(to) }
    }

    #[test]
    fn values_are_read_by_their_type() {
        let filters = [filter("n", "", "9", "10"), filter("at", "2026-01-01 00:00", "", "")];
        let selection = Selection::of(&columns(), None, &filters).unwrap();
        let told: Vec<_> = selection.conditions.iter().map(|c| (c.column, c.operator, c.value.as_str())).collect();
        assert_eq!(told, [(1, ">=", "9"), (1, "<", "10"), (2, "=", "2026-01-01T00:00:00Z")]);
        assert_eq!(selection.chosen, [0, 1, 2]);
    }

    #[test]
    fn invalid_selections_are_refused_with_their_field() {
        let refused = [
            filter("x", "1", "", ""),
            filter("n", "", "", ""),
            filter("n", "one", "", ""),
            filter("n", "1", "1", ""),
            filter("n", "", "10", "9"),
            filter("name", "", "b", "b"),
            filter("at", "", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00Z"),
            filter("name", "a\0", "", ""),
        ];
        for filter in refused {
            let error = Selection::of(&columns(), None, std::slice::from_ref(&filter)).unwrap_err();
            assert_eq!(error.field, "where", "{filter:?}");
        }
        for names in [&["n", "n"][..], &["N"], &[]] {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(Selection::of(&columns(), Some(&names), &[]).unwrap_err().field, "columns");
        }
    }
}
