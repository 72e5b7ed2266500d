//! Datasets in SQLite: a catalog, and one file for each import.
//!
//! The file of an import, its *segment*, has one table and the bookkeeping of the import. So imports never wait for
//! each other, and a staging is a file that the catalog does not list. A dataset is a list of segments. Publishing is
//! one transaction of the catalog; discarding deletes a file.
//!
//! - [`catalog`]: connection and tables; [`listing`], [`publishing`], [`pins`]: its statements
//! - [`importing`]: from staging to publish or discard
//! - [`segment`]: the file of an import; [`segment_folder`]: its folder; [`inserting`]: rows; [`stored`]: cells
//! - [`staging`]: the thread that writes a segment; [`segment_connections`], [`segment_reader`]: reading
//! - [`row_search`], [`conditions`]: filtered and ordered rows

mod catalog;
mod conditions;
mod failure;
mod importing;
mod inserting;
mod listing;
mod pins;
mod publishing;
mod row_search;
mod segment;
mod segment_connections;
mod segment_folder;
mod segment_reader;
mod staging;
mod stored;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use self::catalog::Catalog;
use self::row_search::SegmentSearch;
use self::segment::Segment;
use self::segment_connections::SegmentConnections;
use self::segment_folder::SegmentFolder;
use super::model::SnapshotPart;
use super::{
    Column, ColumnFilter, Dataset, DatasetName, Datasets, Error, ImportPlan, PinHolder, RowPage, RowRequest, Selection,
    Snapshot, SnapshotReader, Staging,
};
use crate::access::Caller;
use crate::config::SqliteUrl;
use crate::spawn::spawn_blocking;
use crate::task::TaskId;

/// Maximum number of columns of a table.
const MAX_COLUMNS: usize = 2000;

/// Datasets of one catalog.
pub(super) struct Sqlite {
    shared: Arc<SqliteState>,
}

/// Shared by the blocking threads.
struct SqliteState {
    catalog: Catalog,
    files: SegmentFolder,
    readers: SegmentConnections,
}

impl Sqlite {
    /// Opens the catalog at `url` and creates what is missing.
    pub(super) async fn open(url: SqliteUrl) -> Result<Self, Error> {
        let Some(path) = url.path else {
            return Err(Error::Failed("datasets need a file; use sqlite:PATH".into()));
        };
        if let Some(other) = url.others.first() {
            return Err(Error::Failed(format!("{other} is not supported for datasets; use mode=rw or mode=rwc")));
        }
        if !url.create && !path.exists() {
            return Err(Error::Failed(format!("{} does not exist, and mode=rwc is not set", path.display())));
        }
        let shared = blocking(move || SqliteState::open(&path)).await?;
        Ok(Self { shared: Arc::new(shared) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SqliteState) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || work(&shared)).await
    }
}

impl SqliteState {
    fn open(path: &Path) -> Result<Self, Error> {
        let files = SegmentFolder::open(path)?;
        let shared = Self { catalog: Catalog::open(path)?, files, readers: SegmentConnections::default() };
        shared.catalog.write(pins::unpin_streams)?;
        shared.collect_garbage()?;
        Ok(shared)
    }

    /// Returns the bytes of the segments of each dataset. Leaves out datasets that do not exist.
    fn sizes(&self, names: Vec<DatasetName>) -> Result<HashMap<DatasetName, u64>, Error> {
        let mut sizes = HashMap::new();
        for name in names {
            match self.read_unpinned(&name, |_, parts| parts.iter().map(|part| self.files.size(&part.container)).sum())
            {
                Ok(size) => drop(sizes.insert(name, size)),
                Err(Error::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sizes)
    }

    /// Deletes the segments that neither a dataset nor a pin uses.
    fn collect_garbage(&self) -> Result<(), Error> {
        let garbage = self.catalog.read(pins::deletable)?;
        for segment in &garbage {
            self.files.remove(segment)?;
            self.readers.close(segment);
        }
        match garbage.is_empty() {
            true => Ok(()),
            false => self.catalog.write(|catalog| pins::unlist_deleted(catalog, &garbage)),
        }
    }
}

/// Sets the flag when dropped: the caller does not wait for the rows any more.
struct AbandonOnDrop(Arc<AtomicBool>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let ended = spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(Error::Failed(format!("a thread of SQLite failed: {error}"))))
}

#[async_trait]
impl Datasets for Sqlite {
    async fn assign(&self, store: &str) -> Result<(), Error> {
        let store = store.to_owned();
        self.run(move |shared| shared.catalog.assign(&store)).await
    }

    async fn get(&self, _: &Caller, name: &DatasetName) -> Result<Option<Dataset>, Error> {
        let name = name.clone();
        self.run(move |shared| shared.catalog.read(|catalog| listing::get(catalog, &name))).await
    }

    async fn list(
        &self,
        _: &Caller,
        after: Option<&str>,
        before: Option<&str>,
        limit: u32,
        from_end: bool,
    ) -> Result<Vec<Dataset>, Error> {
        let (after, before) = (after.map(str::to_owned), before.map(str::to_owned));
        let range = listing::ListRange { after, before, limit, from_end };
        self.run(move |shared| shared.catalog.read(|catalog| listing::list(catalog, &range))).await
    }

    async fn count(&self, _: &Caller) -> Result<u64, Error> {
        self.run(|shared| shared.catalog.read(listing::count)).await
    }

    async fn importers(&self, _: &Caller, name: &DatasetName, limit: u32) -> Result<Vec<TaskId>, Error> {
        let name = name.clone();
        self.run(move |shared| shared.catalog.read(|catalog| listing::importers(catalog, &name, limit))).await
    }

    async fn sizes(&self, _: &Caller, names: &[DatasetName]) -> Result<HashMap<DatasetName, u64>, Error> {
        let names = names.to_vec();
        self.run(move |shared| shared.sizes(names)).await
    }

    async fn rows(&self, _: &Caller, name: &DatasetName, request: &RowRequest) -> Result<RowPage, Error> {
        let request = request.clone();
        self.run_until_dropped(name, move |shared, (columns, parts), abandoned| {
            let rows = parts.last().map_or(0, |part| part.first - 1 + part.rows);
            if request.is_by_number() {
                let after = request.after.unwrap_or(0);
                let mut page = segment_connections::ConsecutiveRows::new(columns, (after, request.limit), abandoned);
                shared.readers.fill(&shared.files, parts, &mut page)?;
                return Ok(RowPage::consecutive(page.batch, after, rows));
            }
            let search = request.check(columns, rows)?;
            SegmentSearch::new(shared, (columns, parts), &search, abandoned).page()
        })
        .await
    }

    async fn count_rows(&self, _: &Caller, name: &DatasetName, filters: &[ColumnFilter]) -> Result<u64, Error> {
        let request = RowRequest { filters: filters.to_vec(), ..RowRequest::default() };
        self.run_until_dropped(name, move |shared, (columns, parts), abandoned| {
            let search = request.check(columns, 0)?;
            SegmentSearch::new(shared, (columns, parts), &search, abandoned).count()
        })
        .await
    }

    async fn drop_dataset(&self, _: &Caller, name: &DatasetName) -> Result<bool, Error> {
        let name = name.clone();
        self.run(move |shared| {
            let dropped = shared.catalog.write(|catalog| publishing::unlist(catalog, &name))?;
            shared.collect_garbage()?;
            Ok(dropped)
        })
        .await
    }

    async fn stage(&self, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Box<dyn Staging>, Error> {
        let plan = plan.clone();
        self.run(move |shared| shared.stage(task, epoch, &plan)).await
    }

    async fn staged_cursor(&self, task: TaskId, epoch: i64) -> Result<Option<String>, Error> {
        self.run(move |shared| shared.staged_cursor(task, epoch)).await
    }

    async fn publish(&self, task: TaskId, epoch: i64, now: jiff::Timestamp) -> Result<u64, Error> {
        self.run(move |shared| shared.publish(task, epoch, now)).await
    }

    async fn rejects(&self, task: TaskId, from: u64) -> Result<Option<(Vec<u8>, u64)>, Error> {
        self.run(move |shared| Segment::rejects(&shared.files, task, from)).await
    }

    async fn discard(&self, task: TaskId, epoch: i64) -> Result<bool, Error> {
        self.run(move |shared| shared.discard(task, epoch)).await
    }

    async fn purge_import(&self, task: TaskId) -> Result<(), Error> {
        self.run(move |shared| shared.catalog.write(|catalog| publishing::purge_import(catalog, task))).await
    }

    async fn pin(&self, _: &Caller, holder: PinHolder, name: &DatasetName) -> Result<Snapshot, Error> {
        let name = name.clone();
        self.run(move |shared| shared.catalog.write(|catalog| pins::pin(catalog, holder, &name))).await
    }

    /// Checks that the pin exists. Pins do not expire here, because only one process uses the catalog.
    async fn renew(&self, holder: PinHolder) -> Result<(), Error> {
        let pinned = self.run(move |shared| shared.catalog.read(|catalog| pins::pinned(catalog, holder))).await?;
        pinned.map(drop).ok_or_else(Error::pin_expired)
    }

    fn reader(&self, snapshot: &Snapshot, selection: &Selection) -> Arc<dyn SnapshotReader> {
        Arc::new(segment_reader::SegmentReader::new(&self.shared, snapshot, selection))
    }

    async fn unpin(&self, holder: PinHolder) -> Result<(), Error> {
        self.run(move |shared| {
            shared.catalog.write(|catalog| pins::unpin(catalog, holder))?;
            shared.collect_garbage()
        })
        .await
    }
}

impl Sqlite {
    /// Reads the rows of a dataset, until the future is dropped.
    async fn run_until_dropped<T: Send + 'static>(
        &self,
        name: &DatasetName,
        work: impl Fn(&SqliteState, (&[Column], &[SnapshotPart]), &Arc<AtomicBool>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let name = name.clone();
        // Dropped with this future. Then the thread stops reading.
        let guard = AbandonOnDrop(Arc::default());
        let abandoned = Arc::clone(&guard.0);
        self.run(move |shared| shared.read_unpinned(&name, |columns, parts| work(shared, (columns, parts), &abandoned)))
            .await
    }
}

impl SqliteState {
    /// Reads without a pin: if a segment is deleted before it is opened, the dataset is looked up again.
    fn read_unpinned<T>(
        &self,
        name: &DatasetName,
        work: impl Fn(&[Column], &[SnapshotPart]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let (columns, parts) = self.catalog.read(|catalog| listing::parts(catalog, name))?;
            match work(&columns, &parts) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    let now = self.catalog.read(|catalog| listing::parts(catalog, name))?;
                    if now == (columns, parts) {
                        return Err(error);
                    }
                }
            }
        }
    }
}
