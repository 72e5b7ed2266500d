//! Selection of columns and rows of a dataset.

use std::collections::HashSet;

use super::filter::{ColumnFilter, Condition, conditions};
use super::invalid_selection::find_column;
use super::{Column, InvalidSelection};

/// Columns and conditions, checked against a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Selected columns, as indexes of all columns.
    pub(super) chosen: Vec<usize>,
    pub(super) conditions: Vec<Condition>,
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
        let conditions = conditions(columns, filters)?;
        Ok(Selection { chosen, conditions })
    }

    /// Returns true if all rows are selected.
    pub fn is_every_row(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Returns the selected ones of `columns`.
    pub fn columns<'a>(&self, columns: &'a [Column]) -> Vec<&'a Column> {
        self.chosen.iter().filter_map(|index| columns.get(*index)).collect()
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
        None => names.iter().map(|name| find_column(columns, name, "columns")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_chosen_by_name_and_once() {
        let columns = [Column::text("name"), Column::text("n")];
        assert_eq!(Selection::of(&columns, None, &[]).unwrap().chosen, [0, 1]);
        for names in [&["n", "n"][..], &["N"], &[]] {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(Selection::of(&columns, Some(&names), &[]).unwrap_err().field, "columns");
        }
    }
}
