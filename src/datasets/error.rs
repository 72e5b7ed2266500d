//! Errors of datasets, the same on every database.

use std::fmt::Display;

use super::row_page::SEARCH_LIMIT;
use super::{DatasetName, InvalidSelection};

/// Reason why a dataset was not read or written. The first seven are refusals: a retry fails again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// CREATE of a name that is in use.
    #[error("Dataset {0} exists. Choose another name, or import with REPLACE or APPEND.")]
    Exists(DatasetName),
    /// The dataset does not exist.
    #[error("Dataset {0} not found.")]
    Missing(DatasetName),
    /// APPEND with other columns. Names, order and types must be the same.
    #[error("APPEND needs the columns of {dataset}: {expected:?}. The import has {found:?}.")]
    Columns {
        /// Dataset of the APPEND.
        dataset: DatasetName,
        /// Columns of the dataset.
        expected: Vec<String>,
        /// Columns of the import.
        found: Vec<String>,
    },
    /// More columns than the database supports.
    #[error("The import has {found} columns; the database supports at most {limit}.")]
    TooManyColumns {
        /// Columns of the import.
        found: usize,
        /// Maximum number of columns.
        limit: usize,
    },
    /// A filter or an order does not fit the dataset.
    #[error(transparent)]
    Invalid(#[from] InvalidSelection),
    /// Filtered or ordered rows were not found in time.
    #[error("The rows were not found within {} seconds. Select fewer rows by `where`, or export the dataset.", SEARCH_LIMIT.as_secs())]
    TooSlow,
    /// The database refused a cell. Nothing of its batch was written.
    #[error("Row {row} of the batch, column {column:?}: {reason}")]
    Cell {
        /// Row in the batch, from 0.
        row: usize,
        /// Column. Empty if the row as a whole is refused.
        column: String,
        /// Reason given by the database.
        reason: String,
    },
    /// A newer epoch owns the staging: stop without another write.
    #[error("A newer run owns the staging of this task.")]
    LeaseLost,
    /// The run cancelled this write, or a write before it failed. Nothing of it was written.
    #[error("The write was cancelled before its commit.")]
    Cancelled,
    /// The disk is full. Nothing of the batch was written.
    #[error("The disk of the datasets is full. Free some space and retry. Cause: {0}")]
    Full(String),
    /// The database is unavailable. A retry may succeed.
    #[error("The database of the datasets is unavailable. Try again. Cause: {0}")]
    Unavailable(String),
    /// The database does not respond. As [`Error::Unavailable`], but the outage has a log line of its own.
    #[error("The database of the datasets is unavailable. Try again. Cause: {0}")]
    Outage(String),
    /// Anything else.
    #[error("The database of the datasets failed: {0}")]
    Failed(String),
}

impl Error {
    /// Returns true if the database is unavailable. A retry may succeed.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Outage(_))
    }

    /// Returns true if the failure belongs to an outage that is logged.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Outage(_))
    }

    /// Neither a staging nor a publish record of the task exists.
    pub(super) fn no_staging() -> Self {
        Self::Failed("the task has no staging to publish".into())
    }

    /// The staging is published and accepts no more rows.
    pub(super) fn published() -> Self {
        Self::Failed("the rows of the task are published; no rows can be added".into())
    }

    /// A table that no import created has the name of the dataset.
    pub(super) fn other_table(name: &DatasetName) -> Self {
        Self::Failed(format!("a table {name} exists that no import created; choose another name"))
    }

    /// Another task store uses the datasets at `place`. `remedy` is the command that forgets it.
    pub(super) fn used_by_another(place: &dyn Display, remedy: &str) -> Self {
        Self::Failed(format!(
            "{place} has the datasets of another task store. Each store needs a database of its own: set datasets_url. If the \
             other store no longer exists, run: {remedy}"
        ))
    }

    /// The pin of a stream expired.
    pub(super) fn pin_expired() -> Self {
        Self::Failed("the snapshot of the stream expired; start the stream again".into())
    }

    /// The rows in the table and the count of the cursor differ.
    pub(super) fn row_count_mismatch(table: u64, cursor: u64) -> Self {
        Self::Failed(format!("the staging has {table} rows, but its cursor counts {cursor}; import the file again"))
    }
}
