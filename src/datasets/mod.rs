//! The tables that imports fill and exports read, in SQLite or PostgreSQL.
//!
//! An import writes to a *staging* that no other task reads. Each write is one transaction of the rows and the import's
//! cursor, fenced by the epoch of the run. Publishing turns the staging into a dataset, or part of one, in one
//! transaction. Discarding it takes the same time whatever its size. An export *pins* a dataset and reads that
//! snapshot, whatever happens to the dataset.
//!
//! - `batch`: rows in memory
//! - `filter`, `row_order`, `row_page`: conditions, orders and pages of rows
//! - `selection`, `reader`, `lines`: reading columns and rows of a snapshot as CSV
//! - `value`: the values of typed columns
//! - `publication`: the steps of publishing, as a pure table that both databases execute
//! - `sqlite`: a catalog, and a file for each import
//! - `postgres`: a table for each dataset in the connection's schema, and bookkeeping in a separate schema

mod batch;
mod error;
mod filter;
mod identifiers;
mod invalid_selection;
mod lines;
mod measured;
mod model;
mod name;
mod postgres;
mod publication;
mod reader;
mod row_order;
mod row_page;
mod selection;
mod sqlite;
mod value;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use batch::{Batch, BatchRow, WrongWidth};
pub use error::Error;
pub use filter::ColumnFilter;
pub use invalid_selection::InvalidSelection;
pub use lines::CsvLines;
pub use measured::measured;
pub use model::{Checkpoint, Column, ColumnType, CommitLease, Dataset, ImportPlan, PinHolder, PublishMode, Snapshot};
pub use name::{DatasetName, InvalidName};
pub use reader::{CsvPage, PageLimit, RowWindow, SnapshotReader, counts, pages};
pub use row_order::ColumnOrder;
pub use row_page::{RowPage, RowRequest, SEARCH_LIMIT};
pub use selection::Selection;
pub use value::InvalidValue;

use crate::access::Caller;
use crate::config::{DatabaseSettings, SqliteUrl};
use crate::database::Gate;
use crate::task::TaskId;

/// Default of the setting `datasets_connections`.
const CONNECTIONS: u32 = 8;

/// Opens the database at `url`: `sqlite:PATH`, created if missing, or `postgres://…`.
///
/// # Errors
/// [`Error::Unavailable`] if the server does not respond, [`Error::Failed`] for another kind of URL.
pub async fn connect(url: &str) -> Result<Arc<dyn Datasets>, Error> {
    open(&DatabaseSettings { url: url.to_owned(), connections: CONNECTIONS }, None).await
}

/// Opens the database as [`connect`] does. `beside` is the gate of the task store's server.
///
/// # Errors
/// As [`connect`].
pub async fn open(settings: &DatabaseSettings, beside: Option<&Gate>) -> Result<Arc<dyn Datasets>, Error> {
    let url = &settings.url;
    if let Some(url) = SqliteUrl::parse(url) {
        Ok(Arc::new(sqlite::Sqlite::open(url).await?))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Arc::new(postgres::Postgres::connect(settings, beside).await?))
    } else {
        let scheme = url.split(':').next().unwrap_or_default();
        Err(Error::Failed(format!(
            "{scheme:?} is not a supported database for datasets; use sqlite:PATH or postgres://…"
        )))
    }
}

/// Maximum size of a page of [`Datasets::rows`], in bytes of its cells. Each cell counts [`CELL_BYTES`] more.
pub const PAGE_BYTES: usize = 4 << 20;

/// Memory of a cell beside its text, in bytes.
pub const CELL_BYTES: usize = 16;

/// Lifetime of a stream's pin without [`Datasets::renew`].
pub const PIN_LIFE: Duration = Duration::from_secs(120);

/// A database of datasets. Every method may return [`Error::Unavailable`], [`Error::Full`] or [`Error::Failed`].
#[async_trait]
pub trait Datasets: Send + Sync + 'static {
    /// Returns the dataset with this name.
    async fn get(&self, caller: &Caller, name: &DatasetName) -> Result<Option<Dataset>, Error>;

    /// Returns at most `limit` datasets by name ascending (in bytes), between `after` and `before`, both excluded. They
    /// are the first ones, or the last ones if `from_end`.
    async fn list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        before: Option<&str>,
        limit: u32,
        from_end: bool,
    ) -> Result<Vec<Dataset>, Error>;

    /// Returns the number of datasets.
    async fn count(&self, caller: &Caller) -> Result<u64, Error>;

    /// Returns the tasks that imported the rows of the dataset: the newest `limit`, newest first. Empty without such a dataset.
    async fn importers(&self, caller: &Caller, name: &DatasetName, limit: u32) -> Result<Vec<TaskId>, Error>;

    /// Returns the space that each dataset takes in its database, in bytes. Leaves out datasets that do not exist.
    async fn sizes(&self, caller: &Caller, names: &[DatasetName]) -> Result<HashMap<DatasetName, u64>, Error>;

    /// Returns a page of rows. Rows have numbers without gaps from 1, in the order of import.
    ///
    /// Rows by number are found by key, so the last page costs as much as the first. Filtered or ordered rows are searched for at most
    /// [`SEARCH_LIMIT`]: then [`Error::TooSlow`]. The page ends before the row that would exceed [`PAGE_BYTES`], but has at least one
    /// row. Dropping the future stops the read. [`Error::Missing`] without such a dataset, [`Error::Invalid`] for a filter or an order
    /// that does not fit.
    async fn rows(&self, caller: &Caller, name: &DatasetName, request: &RowRequest) -> Result<RowPage, Error>;

    /// Returns the number of rows that match all filters. Errors as for [`Datasets::rows`].
    async fn count_rows(&self, caller: &Caller, name: &DatasetName, filters: &[ColumnFilter]) -> Result<u64, Error>;

    /// Drops a dataset. Returns false if there is none.
    async fn drop_dataset(&self, caller: &Caller, name: &DatasetName) -> Result<bool, Error>;

    /// Opens or creates the staging of a task and raises its epoch: a run with an older epoch can no longer write.
    ///
    /// Refuses what publish would refuse: [`Error::Exists`], [`Error::Missing`], [`Error::Columns`],
    /// [`Error::TooManyColumns`]. [`Error::LeaseLost`] if a newer epoch owns it. A published staging opens with its
    /// last cursor and accepts no more rows.
    async fn stage(&self, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Box<dyn Staging>, Error>;

    /// Fences off older epochs and returns the committed cursor of a staging. `None` without a staging or a commit.
    ///
    /// Also returns it after publish, until [`Datasets::purge_import`].
    async fn staged_cursor(&self, task: TaskId, epoch: i64) -> Result<Option<String>, Error>;

    /// Makes the staged rows visible in one transaction and returns their number. Idempotent.
    ///
    /// [`Error::Failed`] if the rows in the table and the count of the cursor differ; then nothing is published.
    async fn publish(&self, task: TaskId, epoch: i64, now: jiff::Timestamp) -> Result<u64, Error>;

    /// Returns the first piece of a task's committed rejects numbered `from` or higher, and the number after it. `None`
    /// after the last one. Rejects are kept until [`Datasets::publish`].
    async fn rejects(&self, task: TaskId, from: u64) -> Result<Option<(Vec<u8>, u64)>, Error>;

    /// Drops a staging and frees its disk space. Idempotent. Takes the same time whatever the number of rows. Afterwards no older
    /// epoch publishes it.
    ///
    /// Returns true if it is published: nothing is dropped then.
    async fn discard(&self, task: TaskId, epoch: i64) -> Result<bool, Error>;

    /// Deletes the record of a published import, but not its rows. Idempotent.
    async fn purge_import(&self, task: TaskId) -> Result<(), Error>;

    /// Pins a dataset and returns its snapshot: until [`Datasets::unpin`], REPLACE, APPEND and
    /// [`Datasets::drop_dataset`] do not change what it reads. Returns the same snapshot if the holder has pinned one.
    ///
    /// The pin of a stream also ends with its process, or [`PIN_LIFE`] after its last renewal.
    async fn pin(&self, caller: &Caller, holder: PinHolder, name: &DatasetName) -> Result<Snapshot, Error>;

    /// Renews the pin of a stream. [`Error::Failed`] if it expired.
    async fn renew(&self, holder: PinHolder) -> Result<(), Error>;

    /// Returns a reader of the selected columns and rows of a pinned snapshot.
    fn reader(&self, snapshot: &Snapshot, selection: &Selection) -> Arc<dyn SnapshotReader>;

    /// Releases the pin of the holder. Idempotent.
    async fn unpin(&self, holder: PinHolder) -> Result<(), Error>;

    /// Records the task store that uses the datasets, given by what identifies it. Only one may use them.
    ///
    /// # Errors
    /// [`Error::Failed`] if another store uses them.
    async fn assign(&self, store: &str) -> Result<(), Error>;

    /// Returns open, idle and maximum connections of the pool. `None` without a pool.
    fn connections(&self) -> Option<(u32, usize, u32)> {
        None
    }
}

/// The staging of an import, open for one run.
///
/// Writes begin one after the other and commit in that order. Each is one transaction of its rows and its cursor, so
/// the committed rows are always the beginning of the file.
#[async_trait]
pub trait Staging: Send {
    /// Returns the cursor of the last commit, as of the time of opening.
    fn cursor(&self) -> Option<&str>;

    /// Returns how many writes may be active at once, from 1.
    fn write_slots(&self) -> usize {
        1
    }

    /// Returns the number of rows per write that is fastest. Any other number is valid.
    fn rows_per_write(&self) -> usize {
        1
    }

    /// Begins a write and returns before its commit. At most [`Staging::write_slots`] may be active. Call
    /// [`Staging::finish_write`] once for each.
    async fn begin_write(&mut self, batch: Batch, checkpoint: Checkpoint) -> Result<(), Error>;

    /// Waits until the oldest active write is committed and survives a power loss of the database. The future may be
    /// dropped and requested again.
    async fn finish_write(&mut self) -> WriteOutcome;

    /// Cancels the active writes that do not commit yet, without waiting for the disk: [`Error::Cancelled`]. No write
    /// may begin after it.
    fn cancel_writes(&mut self) {}

    /// Writes rows and checkpoint while no other write is active, and returns the batch for reuse. Errors are those of
    /// [`WriteOutcome`].
    async fn write(&mut self, batch: Batch, checkpoint: Checkpoint) -> Result<Batch, Error> {
        self.begin_write(batch, checkpoint).await?;
        let written = self.finish_write().await;
        written.outcome.map(|()| written.batch)
    }

    /// Cancels the active writes, and returns when none of them can commit any more and no thread writes.
    async fn close(self: Box<Self>) -> Result<(), Error>;
}

/// Outcome of a write.
pub struct WriteOutcome {
    /// The rows, to be used again or written again. Empty if the thread that had them panicked.
    pub batch: Batch,
    /// With an error nothing was written: [`Error::LeaseLost`] if a newer epoch took over, [`Error::Cell`] if a cell is
    /// refused, [`Error::Cancelled`] if the write before it failed.
    ///
    /// After [`Error::Unavailable`], and [`Error::Cancelled`] after [`Staging::cancel_writes`], the commit may have
    /// been done: open the staging again and read its cursor.
    pub outcome: Result<(), Error>,
}

impl WriteOutcome {
    /// Returns the outcome of a write that failed.
    fn failed(batch: Batch, error: Error) -> Self {
        Self { batch, outcome: Err(error) }
    }
}

/// The staging of a published import: it has a cursor and accepts no rows.
struct PublishedStaging {
    cursor: Option<String>,
}

#[async_trait]
impl Staging for PublishedStaging {
    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    async fn begin_write(&mut self, _: Batch, _: Checkpoint) -> Result<(), Error> {
        Err(Error::published())
    }

    async fn finish_write(&mut self) -> WriteOutcome {
        WriteOutcome::failed(Batch::default(), Error::published())
    }

    async fn close(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}
