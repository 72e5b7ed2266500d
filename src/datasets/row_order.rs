//! Order of rows by the values of columns.
//!
//! Null is greater than every value. Rows with equal values are in the order of their numbers. A page begins after a row, which is
//! given by its number: its values are read, and compared with those of the others (keyset pagination).

use std::collections::HashSet;

use super::invalid_selection::find_column;
use super::{Column, InvalidSelection};

/// Maximum number of columns in an order.
const MAX_COLUMNS: usize = 8;

/// A column by which rows are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnOrder {
    /// Name of the column.
    pub column: String,
    /// Greatest value first.
    pub descending: bool,
}

/// A column of an order, checked against a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SortColumn {
    /// Column, as an index of all columns.
    pub(super) index: usize,
    pub(super) descending: bool,
}

/// Checks an order against the columns of a dataset.
///
/// # Errors
/// An unknown or repeated column, or too many columns.
pub(super) fn sort_columns(columns: &[Column], order: &[ColumnOrder]) -> Result<Vec<SortColumn>, InvalidSelection> {
    let refused = |message| Err(InvalidSelection { field: "orderBy", message });
    if order.len() > MAX_COLUMNS {
        return refused(format!("orderBy has {} columns, at most {MAX_COLUMNS} are allowed.", order.len()));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = order.iter().find(|key| !seen.insert(&key.column)) {
        return refused(format!("orderBy has column {:?} twice.", twice.column));
    }
    let sort = |key: &ColumnOrder| {
        Ok(SortColumn { index: find_column(columns, &key.column, "orderBy")?, descending: key.descending })
    };
    order.iter().map(sort).collect()
}

/// A column of an order in SQL.
pub(super) struct SortKey {
    /// Expression of the column, which compares by the column's type.
    pub(super) column: String,
    pub(super) descending: bool,
}

/// Returns the terms of ORDER BY for `keys`, then the row number `row`. `reversed`: from the last row to the first.
pub(super) fn order_by(keys: &[SortKey], row: &str, reversed: bool) -> String {
    let term = |key: &SortKey| {
        let direction = if key.descending == reversed { "ASC NULLS LAST" } else { "DESC NULLS FIRST" };
        format!("{} {direction}, ", key.column)
    };
    let terms: String = keys.iter().map(term).collect();
    format!("{terms}{row} {}", if reversed { "DESC" } else { "ASC" })
}

/// Returns the condition of the rows that follow row `number`, or precede it if `reversed`. `values`: the expressions of its values, in
/// the order of `keys`. None for null.
pub(super) fn follows(
    keys: &[SortKey],
    values: &[Option<String>],
    (row, number): (&str, u64),
    reversed: bool,
) -> String {
    let (mut terms, mut equal) = (Vec::new(), String::new());
    for (SortKey { column, descending }, value) in keys.iter().zip(values) {
        let beyond = match (value, *descending == reversed) {
            (Some(value), true) => Some(format!("({column} > {value} OR {column} IS NULL)")),
            (Some(value), false) => Some(format!("{column} < {value}")),
            (None, true) => None,
            (None, false) => Some(format!("{column} IS NOT NULL")),
        };
        terms.extend(beyond.map(|beyond| format!("{equal}{beyond}")));
        match value {
            Some(value) => equal.push_str(&format!("{column} = {value} AND ")),
            None => equal.push_str(&format!("{column} IS NULL AND ")),
        }
    }
    terms.push(format!("{equal}{row} {} {number}", if reversed { '<' } else { '>' }));
    format!("({})", terms.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [SortKey; 2] {
        [("a", false), ("b", true)].map(|(column, descending)| SortKey { column: column.to_owned(), descending })
    }

    #[test]
    fn the_reverse_order_is_the_opposite_in_each_term() {
        assert_eq!(order_by(&keys(), "r", false), "a ASC NULLS LAST, b DESC NULLS FIRST, r ASC");
        assert_eq!(order_by(&keys(), "r", true), "a DESC NULLS FIRST, b ASC NULLS LAST, r DESC");
    }

    #[test]
    fn null_is_greater_than_every_value() {
        let values = |a: &str| [Some(a.to_owned()), None];
        let expected = "((a > 1 OR a IS NULL) OR a = 1 AND b IS NOT NULL OR a = 1 AND b IS NULL AND r > 7)";
        assert_eq!(follows(&keys(), &values("1"), ("r", 7), false), expected);
        let expected = "(a < 1 OR a = 1 AND b IS NULL AND r < 7)";
        assert_eq!(follows(&keys(), &values("1"), ("r", 7), true), expected);
    }

    #[test]
    fn invalid_orders_are_refused() {
        let columns: Vec<_> = (0..9).map(|n| Column::text(format!("c{n}"))).collect();
        let order = |names: &[&str]| {
            let keys = names.iter().map(|name| ColumnOrder { column: (*name).to_owned(), descending: true });
            sort_columns(&columns, &keys.collect::<Vec<_>>())
        };
        assert_eq!(order(&["c3"]).unwrap(), [SortColumn { index: 3, descending: true }]);
        let nine: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        for names in [&["c1", "c1"][..], &["x"], &nine] {
            assert_eq!(order(names).unwrap_err().field, "orderBy");
        }
    }
}
