//! Refusals of what clients select from a dataset.

use super::Column;

/// A selection that does not match the dataset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidSelection {
    /// Invalid argument: `columns`, `where`, `orderBy`, `after` or `before`.
    pub field: &'static str,
    /// The problem and what is allowed.
    pub message: String,
}

/// Returns the index of a column. `field`: the argument that names it.
pub(super) fn find_column(columns: &[Column], name: &str, field: &'static str) -> Result<usize, InvalidSelection> {
    let unknown = || {
        let names: Vec<_> = columns.iter().take(50).map(|column| column.name.as_str()).collect();
        InvalidSelection { field, message: format!("Column {name:?} not found. Columns: {}.", names.join(", ")) }
    };
    columns.iter().position(|column| column.name == name).ok_or_else(unknown)
}
