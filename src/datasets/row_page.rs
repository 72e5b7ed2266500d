//! Pages of a dataset's rows.

use std::time::Duration;

use super::filter::{ColumnFilter, Condition, conditions};
use super::row_order::{ColumnOrder, SortColumn, sort_columns};
use super::{Batch, Column, InvalidSelection};

/// Maximum time in which the rows of a page are found. Rows that are filtered or ordered have no index.
pub const SEARCH_LIMIT: Duration = Duration::from_secs(10);

/// Request of a page of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowRequest {
    /// Filters. A row must match all.
    pub filters: Vec<ColumnFilter>,
    /// Order. Empty: by row number, which is the order of import.
    pub order: Vec<ColumnOrder>,
    /// Number of the row that the page begins after.
    pub after: Option<u64>,
    /// Number of the row that the page ends before.
    pub before: Option<u64>,
    /// Maximum number of rows.
    pub limit: u32,
    /// Returns the last rows, instead of the first ones.
    pub from_end: bool,
}

/// A page of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowPage {
    /// The rows in order.
    pub batch: Batch,
    /// Their numbers.
    pub numbers: Vec<u64>,
    /// True if there are more rows: after the page, or before it if the last rows were requested.
    pub more: bool,
}

/// A request that was checked against a dataset.
pub(super) struct RowSearch {
    pub(super) conditions: Vec<Condition>,
    pub(super) order: Vec<SortColumn>,
    pub(super) after: Option<u64>,
    pub(super) before: Option<u64>,
    pub(super) limit: u32,
    pub(super) from_end: bool,
}

impl RowRequest {
    /// Returns true if the rows are consecutive, and read from the first to the last.
    pub(super) fn is_by_number(&self) -> bool {
        self.filters.is_empty() && self.order.is_empty() && self.before.is_none() && !self.from_end
    }

    /// Checks the request against a dataset.
    ///
    /// # Errors
    /// A filter or an order that does not fit the columns, or an order that begins after a row that does not exist.
    pub(super) fn check(&self, columns: &[Column], rows: u64) -> Result<RowSearch, InvalidSelection> {
        let order = sort_columns(columns, &self.order)?;
        for (field, number) in [("after", self.after), ("before", self.before)] {
            if let Some(number) = number.filter(|number| !order.is_empty() && !(1..=rows).contains(number)) {
                let message =
                    format!("{field} must be a cursor of this list, got {number}. The dataset has {rows} rows.");
                return Err(InvalidSelection { field, message });
            }
        }
        let conditions = conditions(columns, &self.filters)?;
        let RowRequest { after, before, limit, from_end, .. } = *self;
        Ok(RowSearch { conditions, order, after, before, limit, from_end })
    }
}

impl RowPage {
    /// Returns the page of consecutive rows after number `after`.
    pub(super) fn consecutive(batch: Batch, after: u64, dataset_rows: u64) -> RowPage {
        let rows = batch.len() as u64;
        let more = after.saturating_add(rows) < dataset_rows;
        RowPage { batch, numbers: (after..after.saturating_add(rows)).map(|number| number + 1).collect(), more }
    }

    /// Returns the page with the rows in reverse order.
    pub(super) fn reversed(self) -> RowPage {
        let RowPage { batch, mut numbers, more } = self;
        numbers.reverse();
        RowPage { batch: batch.reversed(), numbers, more }
    }
}

impl RowSearch {
    /// Returns the bounds as row numbers, if that is the order: after the first, before the second.
    pub(super) fn number_bounds(&self) -> (u64, u64) {
        match self.order.is_empty() {
            true => (self.after.unwrap_or(0), self.before.unwrap_or(u64::MAX)),
            false => (0, u64::MAX),
        }
    }

    /// Returns the rows that the page begins after and ends before, in an order by columns. True for the second.
    pub(super) fn bounds(&self) -> impl Iterator<Item = (u64, bool)> {
        let bounds = [(self.after, false), (self.before, true)];
        let ordered = !self.order.is_empty();
        bounds.into_iter().filter_map(move |(number, is_end)| Some((number.filter(|_| ordered)?, is_end)))
    }

    /// Returns one more than the maximum number of rows, to find out if there are more.
    pub(super) fn fetch_limit(&self) -> usize {
        self.limit as usize + 1
    }
}
