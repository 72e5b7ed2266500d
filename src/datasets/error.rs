//! What can go wrong, the same on every database.

use super::DatasetName;

/// Why a dataset was not read or written. The first five are refusals and stay what they are when tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// CREATE of a name that is taken.
    #[error("{0} exists: choose another name, REPLACE or APPEND")]
    Exists(DatasetName),
    /// There is no such dataset.
    #[error("there is no dataset {0}")]
    Missing(DatasetName),
    /// APPEND of other columns: it needs the same names in the same order, and the same types.
    #[error("the columns of {dataset} are {expected:?}, those of the import are {found:?}: APPEND needs the same")]
    Columns {
        /// The dataset to be appended to.
        dataset: DatasetName,
        /// Its columns.
        expected: Vec<String>,
        /// The columns of the import.
        found: Vec<String>,
    },
    /// More columns than the database holds.
    #[error("{found} columns are more than the {limit} that the database holds")]
    TooManyColumns {
        /// Columns of the import.
        found: usize,
        /// The most that fit.
        limit: usize,
    },
    /// A cell that the database does not take; nothing of its batch was written.
    #[error("row {row} of the batch, column {column:?}: {reason}")]
    Cell {
        /// The row in the batch, from 0.
        row: usize,
        /// The column; empty where the row as a whole is refused.
        column: String,
        /// What the database does not take.
        reason: String,
    },
    /// A newer epoch holds the staging: stop without another write.
    #[error("a newer run holds the staging of this task")]
    LeaseLost,
    /// A write before this one failed, or the run took this one back; nothing of it was written.
    #[error("the write was taken back before it was committed")]
    Cancelled,
    /// The disk is full; nothing of the batch was written.
    #[error("the disk of the datasets is full, free some space and try again: {0}")]
    Full(String),
    /// The database is away; it may help to try again.
    #[error("the database of the datasets is away, try again: {0}")]
    Unavailable(String),
    /// Anything else.
    #[error("the database of the datasets failed: {0}")]
    Failed(String),
}

impl Error {
    /// There is neither a staging nor a record of the task.
    pub(super) fn no_staging() -> Self {
        Self::Failed("the task has no staging to publish".into())
    }

    /// A write after publish.
    pub(super) fn published() -> Self {
        Self::Failed("the task's rows are published: nothing can be added".into())
    }

    /// The snapshot of a stream is gone.
    pub(super) fn let_go() -> Self {
        Self::Failed("the stream's snapshot was let go of: begin anew".into())
    }

    /// The table does not hold what the cursor says.
    pub(super) fn miscounted(table: u64, cursor: u64) -> Self {
        Self::Failed(format!("the staging holds {table} rows where its cursor says {cursor}: import again"))
    }
}
