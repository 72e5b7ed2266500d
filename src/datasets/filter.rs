//! Conditions on columns, and their SQL.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::invalid_selection::find_column;
use super::{Column, ColumnType, InvalidSelection, value};

/// Maximum number of filters in a list.
const MAX_FILTERS: usize = 50;

/// Maximum number of values in [`ColumnFilter::any_of`].
const MAX_VALUES: usize = 500;

/// A condition on a column, by one of: `equals`; `from` and `to`; `in`; `isNull`; `contains`. Values are compared by the column's
/// type, TEXT by bytes. Null values match only `isNull`, also with `not`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ColumnFilter {
    /// Name of the column.
    pub column: String,
    /// Exact value.
    pub equals: Option<String>,
    /// Inclusive lower bound.
    pub from: Option<String>,
    /// Exclusive upper bound.
    pub to: Option<String>,
    /// Any of these values, 1 to 500.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub any_of: Option<Vec<String>>,
    /// True: null. False: not null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_null: Option<bool>,
    /// Text that is part of the value. Only TEXT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Selects the rows that do not match instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
}

/// A condition, checked against a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Column, as an index of all columns.
    column: usize,
    /// Tests that must all succeed.
    tests: Vec<Test>,
    negated: bool,
}

/// A test of a value. Values are in the form of [`ColumnType::canonical`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Compare(&'static str, String),
    AnyOf(Vec<String>),
    IsNull(bool),
    Contains(String),
}

/// The SQL of one database.
pub(super) trait ConditionSql {
    /// Function that returns the position of its second argument in the first one, or 0.
    const POSITION: &'static str;

    /// Returns the expression of a column, which compares by the column's type.
    fn column(&self, index: usize) -> String;

    /// Returns the expression of a value of a column, in canonical form.
    fn value(&mut self, column: usize, value: &str) -> String;
}

impl Condition {
    /// Returns the condition in the SQL of `database`.
    pub(super) fn sql(&self, database: &mut impl ConditionSql) -> String {
        let tests: Vec<_> = self.tests.iter().map(|test| test.sql(self.column, database)).collect();
        let tests = tests.join(" AND ");
        if self.negated { format!("NOT ({tests})") } else { tests }
    }
}

impl Test {
    fn sql<D: ConditionSql>(&self, column: usize, database: &mut D) -> String {
        let name = database.column(column);
        match self {
            Test::Compare(operator, value) => format!("{name} {operator} {}", database.value(column, value)),
            Test::AnyOf(values) => {
                let values: Vec<_> = values.iter().map(|value| database.value(column, value)).collect();
                format!("{name} IN ({})", values.join(", "))
            }
            Test::IsNull(true) => format!("{name} IS NULL"),
            Test::IsNull(false) => format!("{name} IS NOT NULL"),
            Test::Contains(part) => format!("{}({name}, {}) > 0", D::POSITION, database.value(column, part)),
        }
    }
}

/// Checks filters against the columns of a dataset.
///
/// # Errors
/// An unknown column, a value that does not match the type of its column, or a filter without a condition, with several kinds of
/// them, or without a possible match.
pub(super) fn conditions(columns: &[Column], filters: &[ColumnFilter]) -> Result<Vec<Condition>, InvalidSelection> {
    if filters.len() > MAX_FILTERS {
        let message = format!("{} filters are given, at most {MAX_FILTERS} are allowed.", filters.len());
        return Err(InvalidSelection { field: "where", message });
    }
    filters.iter().map(|filter| filter.condition(columns)).collect()
}

impl ColumnFilter {
    fn condition(&self, columns: &[Column]) -> Result<Condition, InvalidSelection> {
        let column = find_column(columns, &self.column, "where")?;
        let kind = columns[column].kind;
        let range = [self.compare(kind, ">=", self.from.as_ref())?, self.compare(kind, "<", self.to.as_ref())?];
        let range: Vec<_> = range.into_iter().flatten().collect();
        self.check_range(kind, &range)?;
        let mut kinds = vec![range];
        kinds.push(self.compare(kind, "=", self.equals.as_ref())?.into_iter().collect());
        kinds.push(self.any_of(kind)?.into_iter().collect());
        kinds.push(self.is_null.map(Test::IsNull).into_iter().collect());
        kinds.push(self.contains(kind)?.into_iter().collect());
        kinds.retain(|tests| !tests.is_empty());
        match (kinds.pop(), kinds.is_empty()) {
            (Some(tests), true) => Ok(Condition { column, tests, negated: self.not }),
            (None, _) => Err(self.refused("needs one of equals, from, to, in, isNull and contains")),
            (Some(_), false) => {
                Err(self
                    .refused("accepts only one of equals, from and to, in, isNull and contains; use several filters"))
            }
        }
    }

    fn compare(
        &self,
        kind: ColumnType,
        operator: &'static str,
        text: Option<&String>,
    ) -> Result<Option<Test>, InvalidSelection> {
        text.map(|text| Ok(Test::Compare(operator, self.value(kind, text)?))).transpose()
    }

    fn check_range(&self, kind: ColumnType, range: &[Test]) -> Result<(), InvalidSelection> {
        match range {
            [Test::Compare(_, from), Test::Compare(_, to)] if compare(kind, from, to) != Ordering::Less => {
                Err(self.refused(&format!("from {from:?} must be less than to {to:?}")))
            }
            _ => Ok(()),
        }
    }

    fn any_of(&self, kind: ColumnType) -> Result<Option<Test>, InvalidSelection> {
        let Some(values) = &self.any_of else { return Ok(None) };
        if !(1..=MAX_VALUES).contains(&values.len()) {
            return Err(self.refused(&format!("in has {} values, must have 1 to {MAX_VALUES}", values.len())));
        }
        let values = values.iter().map(|text| self.value(kind, text)).collect::<Result<_, _>>()?;
        Ok(Some(Test::AnyOf(values)))
    }

    fn contains(&self, kind: ColumnType) -> Result<Option<Test>, InvalidSelection> {
        match &self.contains {
            None => Ok(None),
            Some(_) if kind != ColumnType::Text => Err(self.refused("contains is only for TEXT columns")),
            Some(part) => Ok(Some(Test::Contains(self.value(kind, part)?))),
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

    fn filter(json: &str) -> ColumnFilter {
        serde_json::from_str(json).unwrap()
    }

    /// Writes names and values as they are.
    struct Plain;

    impl ConditionSql for Plain {
        const POSITION: &'static str = "position";

        fn column(&self, index: usize) -> String {
            columns()[index].name.clone()
        }

        fn value(&mut self, _: usize, value: &str) -> String {
            value.to_owned()
        }
    }

    #[test]
    fn each_kind_of_filter_has_its_sql() {
        let table = [
            (r#"{"column": "n", "from": "9", "to": "10"}"#, "n >= 9 AND n < 10"),
            (r#"{"column": "at", "equals": "2026-01-01 00:00"}"#, "at = 2026-01-01T00:00:00Z"),
            (r#"{"column": "n", "in": ["1", "+02"]}"#, "n IN (1, 2)"),
            (r#"{"column": "n", "isNull": true}"#, "n IS NULL"),
            (r#"{"column": "n", "isNull": false}"#, "n IS NOT NULL"),
            (r#"{"column": "name", "contains": "x"}"#, "position(name, x) > 0"),
            (r#"{"column": "n", "from": "1", "to": "3", "not": true}"#, "NOT (n >= 1 AND n < 3)"),
        ];
        for (json, sql) in table {
            assert_eq!(conditions(&columns(), &[filter(json)]).unwrap()[0].sql(&mut Plain), sql);
        }
    }

    #[test]
    fn invalid_filters_are_refused() {
        let values = serde_json::to_string(&vec!["1"; 501]).unwrap();
        let refused = [
            r#"{"column": "x", "equals": "1"}"#,
            r#"{"column": "n"}"#,
            r#"{"column": "n", "not": true}"#,
            r#"{"column": "n", "equals": "one"}"#,
            r#"{"column": "n", "equals": "1", "from": "1"}"#,
            r#"{"column": "n", "equals": "1", "isNull": true}"#,
            r#"{"column": "n", "from": "10", "to": "9"}"#,
            r#"{"column": "name", "from": "b", "to": "b"}"#,
            r#"{"column": "at", "from": "2026-01-01T00:00:00.5Z", "to": "2026-01-01T00:00:00Z"}"#,
            r#"{"column": "name", "equals": "a\u0000"}"#,
            r#"{"column": "n", "contains": "1"}"#,
            r#"{"column": "n", "in": []}"#,
            r#"{"column": "n", "in": ["1", "x"]}"#,
            &format!(r#"{{"column": "n", "in": {values}}}"#),
        ];
        for json in refused {
            let error = conditions(&columns(), &[filter(json)]).unwrap_err();
            assert_eq!(error.field, "where", "{json}");
        }
        let one = filter(r#"{"column": "n", "equals": "1"}"#);
        assert!(conditions(&columns(), &vec![one.clone(); MAX_FILTERS]).is_ok());
        assert!(conditions(&columns(), &vec![one; MAX_FILTERS + 1]).is_err());
    }

    #[test]
    fn a_filter_is_stored_as_before_unless_it_needs_more() {
        let stored = r#"{"column":"n","equals":null,"from":"1","to":null}"#;
        assert_eq!(serde_json::to_string(&filter(stored)).unwrap(), stored);
    }
}
