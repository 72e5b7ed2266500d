//! Types of columns.

use async_graphql::Enum;

use crate::datasets;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "datasets::ColumnType")]
pub enum ColumnType {
    /// Any text, kept exactly.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Real,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// An instant.
    Timestamp,
}
