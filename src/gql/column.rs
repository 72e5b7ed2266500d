//! Types of columns.

use async_graphql::Enum;

use crate::datasets::ColumnType;

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "ColumnType", remote = "ColumnType")]
pub enum ColumnTypeEnum {
    /// Text. Every cell is preserved byte for byte.
    Text,
    /// Whole number from -2^63 to 2^63 - 1.
    Integer,
    /// Finite 64-bit floating-point number.
    Real,
    /// `true` or `false`. Input may also be t, yes, y, on, 1 and their opposites.
    Boolean,
    /// Calendar date, such as 2026-01-31. Years are 1 to 9999.
    Date,
    /// Instant, in UTC, to the microsecond. Input may have any offset. Default: UTC.
    Timestamp,
}
