//! The tables that imports fill and exports read, in SQLite or PostgreSQL.
//!
//! An import writes to a *staging* that nobody else sees: each write is one transaction that holds the rows and the
//! import's cursor, and is fenced by the epoch of the run. Publishing makes the staging a dataset, or a part of one,
//! in one atomic step; discarding it costs the same whatever it holds. An export *pins* a dataset and reads it as it
//! stood then, whatever happens to it meanwhile.
//!
//! - `batch`: rows on their way in or out
//! - `selection`, `reader`, `lines`: what an export reads of them, and how it is written
//! - `value`: what the cells of a typed column may hold
//! - `sqlite`: a catalog beside one file for each import
//! - `postgres`: real tables in the connection's schema, the bookkeeping in a schema of its own

mod batch;
mod error;
mod identifiers;
mod lines;
mod measured;
mod model;
mod name;
mod postgres;
mod reader;
mod selection;
mod sqlite;
mod value;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use batch::{Batch, BatchRow, WrongWidth};
pub use error::Error;
pub use lines::CsvLines;
pub use measured::measured;
pub use model::{Checkpoint, Column, ColumnType, Dataset, ImportPlan, PinHolder, PublishMode, Snapshot};
pub use name::{DatasetName, InvalidName};
pub use reader::{CsvPage, PageLimit, RowWindow, SnapshotReader, counts, pages};
pub use selection::{ColumnFilter, InvalidSelection, Selection};
pub use value::InvalidValue;

use crate::config::SqliteUrl;
use crate::task::TaskId;

/// Opens the database at `url`: `sqlite:PATH`, made where there is none, or `postgres://…`.
///
/// Answers [`Error::Unavailable`] where a server does not answer, [`Error::Failed`] where the URL is of another kind.
pub async fn connect(url: &str) -> Result<Arc<dyn Datasets>, Error> {
    if let Some(url) = SqliteUrl::parse(url) {
        Ok(Arc::new(sqlite::Sqlite::open(url).await?))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(Arc::new(postgres::Postgres::connect(url).await?))
    } else {
        let scheme = url.split(':').next().unwrap_or_default();
        Err(Error::Failed(format!("datasets cannot be kept in {scheme:?}: use sqlite:PATH or postgres://…")))
    }
}

/// Maximum size of a page of [`Datasets::rows`], in bytes of its cells. Each cell counts [`CELL_BYTES`] more.
pub const PAGE_BYTES: usize = 4 << 20;

/// What a cell takes beside its text, in bytes.
pub const CELL_BYTES: usize = 16;

/// How long a stream's snapshot is held where nobody renews it.
pub const PIN_LIFE: Duration = Duration::from_secs(120);

/// A database of datasets. Every method may answer [`Error::Unavailable`], [`Error::Full`] or [`Error::Failed`].
#[async_trait]
pub trait Datasets: Send + Sync + 'static {
    /// The dataset of that name.
    async fn get(&self, name: &DatasetName) -> Result<Option<Dataset>, Error>;

    /// By name ascending (in bytes), those between `after` and `before`, both left out: the first `limit` of them, or
    /// the last where `from_end`.
    async fn list(
        &self,
        after: Option<&str>,
        before: Option<&str>,
        limit: u32,
        from_end: bool,
    ) -> Result<Vec<Dataset>, Error>;

    /// How many datasets there are.
    async fn count(&self) -> Result<u64, Error>;

    /// At most `limit` rows numbered from `after` + 1: numbers are dense from 1 in the order of import. Found by key,
    /// so the last page costs what the first does. The page ends before the row that would make it larger than
    /// [`PAGE_BYTES`], but has one row at least. Reading ends when the future is dropped. [`Error::Missing`] where there is
    /// no such dataset.
    async fn rows(&self, name: &DatasetName, after: u64, limit: u32) -> Result<Batch, Error>;

    /// Takes a dataset away; false where there was none.
    async fn drop_dataset(&self, name: &DatasetName) -> Result<bool, Error>;

    /// Opens or takes over the staging of a task and raises its epoch: whoever held it with an older one can no longer
    /// write. Refuses at once what publish would refuse ([`Error::Exists`], [`Error::Missing`], [`Error::Columns`],
    /// [`Error::TooManyColumns`]); [`Error::LeaseLost`] where a newer epoch holds it. After publish it opens with the
    /// last cursor and takes no more rows.
    async fn stage(&self, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Box<dyn Staging>, Error>;

    /// The committed cursor of a staging, after fencing off older epochs; `None` where there is no staging or nothing
    /// was written. Also found after publish, until [`Datasets::purge_import`].
    async fn staged_cursor(&self, task: TaskId, epoch: i64) -> Result<Option<String>, Error>;

    /// Makes the staged rows visible in one atomic step; a second call changes nothing. Answers the rows of this import
    /// as counted in the table; where the cursor's count differs, nothing is published and the answer is
    /// [`Error::Failed`].
    async fn publish(&self, task: TaskId, epoch: i64, now: jiff::Timestamp) -> Result<u64, Error>;

    /// The rejects that were committed with the rows of a task, in their order, from the piece of that number on: the piece
    /// and the number of the next one; `None` behind the last. They are kept until [`Datasets::publish`].
    async fn rejects(&self, task: TaskId, from: u64) -> Result<Option<(Vec<u8>, u64)>, Error>;

    /// Drops the staging, not what is published; nothing to drop is fine. The cost does not grow with the rows, and
    /// the disk is given back.
    async fn discard(&self, task: TaskId, epoch: i64) -> Result<(), Error>;

    /// Drops the record of a task's publish, not the rows; nothing to drop is fine.
    async fn purge_import(&self, task: TaskId) -> Result<(), Error>;

    /// The dataset as it stands now, held until [`Datasets::unpin`]: REPLACE, APPEND and [`Datasets::drop_dataset`] do
    /// not touch what it reads. A second pin of the same holder answers the same snapshot. What a stream holds is let go
    /// of without it where its process ended, or where it was not renewed for [`PIN_LIFE`].
    async fn pin(&self, holder: PinHolder, name: &DatasetName) -> Result<Snapshot, Error>;

    /// Says that a stream goes on reading. [`Error::Failed`] where its snapshot was let go of.
    async fn renew(&self, holder: PinHolder) -> Result<(), Error>;

    /// Reads what is chosen of a pinned snapshot.
    fn reader(&self, snapshot: &Snapshot, selection: &Selection) -> Arc<dyn SnapshotReader>;

    /// Lets go of the holder's snapshot; none is fine.
    async fn unpin(&self, holder: PinHolder) -> Result<(), Error>;

    /// Open connections of the pool, those of them that are idle, and the most that there may be; `None` without a pool.
    fn connections(&self) -> Option<(u32, usize, u32)> {
        None
    }
}

/// The staging of one import, held by one run. Writes are begun one after the other, commit in that order, and each is
/// one transaction of its rows and its cursor: what is committed is always the beginning of the file.
#[async_trait]
pub trait Staging: Send {
    /// What the last committed write left, at the moment of opening.
    fn cursor(&self) -> Option<&str>;

    /// How many writes may be under way at once, from 1.
    fn write_slots(&self) -> usize {
        1
    }

    /// Rows of a write that make the most of the database; any other number is right too.
    fn rows_per_write(&self) -> usize {
        1
    }

    /// Begins a write and answers before it is committed; at most [`Staging::write_slots`] may be under way. Each is to be
    /// heard of by [`Staging::finish_write`].
    async fn begin_write(&mut self, batch: Batch, checkpoint: Checkpoint) -> Result<(), Error>;

    /// Waits for the end of the oldest write under way: a commit that outlives a power loss of the database. Its future may
    /// be dropped and asked for anew.
    async fn finish_write(&mut self) -> WriteOutcome;

    /// Takes back the writes under way, as far as they do not commit already, and waits for no disk: [`Error::Cancelled`].
    /// Nothing is begun after it.
    fn cancel_writes(&mut self) {}

    /// Writes the rows and the checkpoint while nothing else is under way, and hands the batch back for reuse. Errors are
    /// those of [`WriteOutcome`].
    async fn write(&mut self, batch: Batch, checkpoint: Checkpoint) -> Result<Batch, Error> {
        self.begin_write(batch, checkpoint).await?;
        let written = self.finish_write().await;
        written.outcome.map(|()| written.batch)
    }

    /// Takes back what does not commit already, and returns when nothing of it can commit any more and no thread writes.
    async fn close(self: Box<Self>) -> Result<(), Error>;
}

/// The end of a write.
pub struct WriteOutcome {
    /// The rows, to be used again or written anew; empty where they are lost with the thread that had them.
    pub batch: Batch,
    /// With an error nothing was written: [`Error::LeaseLost`] where a newer epoch took over, [`Error::Cell`] where a
    /// cell is refused, [`Error::Cancelled`] where the write before it failed. [`Error::Unavailable`], and
    /// [`Error::Cancelled`] after [`Staging::cancel_writes`], leave it open whether the commit was done: open the staging anew and
    /// read its cursor.
    pub outcome: Result<(), Error>,
}

impl WriteOutcome {
    /// A write that failed.
    fn failed(batch: Batch, error: Error) -> Self {
        Self { batch, outcome: Err(error) }
    }
}

/// The staging of a task whose rows are published: it knows its cursor and takes nothing.
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
