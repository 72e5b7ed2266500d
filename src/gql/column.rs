//! Columns: their types, conditions on them, and orders by them.

use async_graphql::{Enum, InputObject};

use crate::datasets::{ColumnFilter, ColumnOrder, ColumnType};

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

/// Condition on a column, by one of: equals; from <= value < to; in; isNull; contains. Values are compared by the column's type;
/// TEXT by bytes. Null values match only isNull.
#[derive(InputObject)]
pub struct ColumnFilterInput {
    /// Name of the column.
    column: String,
    /// Exact value.
    equals: Option<String>,
    /// Inclusive lower bound. Default: none.
    from: Option<String>,
    /// Exclusive upper bound. Default: none.
    to: Option<String>,
    /// Any of these values, 1 to 500.
    #[graphql(name = "in")]
    any_of: Option<Vec<String>>,
    /// True: the value is null. False: it is not null.
    is_null: Option<bool>,
    /// Text that is part of the value, compared by bytes. Only for TEXT.
    contains: Option<String>,
    /// Select the rows that do not match. Null values still match only isNull.
    #[graphql(default = false)]
    not: bool,
}

impl From<ColumnFilterInput> for ColumnFilter {
    fn from(input: ColumnFilterInput) -> ColumnFilter {
        let ColumnFilterInput { column, equals, from, to, any_of, is_null, contains, not } = input;
        ColumnFilter { column, equals, from, to, any_of, is_null, contains, not }
    }
}

/// Column by which rows are ordered.
#[derive(InputObject)]
pub struct ColumnOrderInput {
    /// Name of the column.
    column: String,
    /// Greatest value first.
    #[graphql(default = false)]
    descending: bool,
}

impl From<ColumnOrderInput> for ColumnOrder {
    fn from(ColumnOrderInput { column, descending }: ColumnOrderInput) -> ColumnOrder {
        ColumnOrder { column, descending }
    }
}
