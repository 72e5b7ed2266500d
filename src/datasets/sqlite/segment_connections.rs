//! Reads published segments, which never change, through a few connections that stay open.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, OpenFlags};

use super::super::identifiers::quoted;
use super::super::model::SnapshotPart;
use super::super::{Batch, Column, ColumnType, Error};
use super::catalog::BUSY;

use super::segment_folder::SegmentFolder;
use super::stored::shown;
use crate::disk;
use crate::lock::lock;
use crate::numbers::signed;

/// Maximum number of idle connections, each with at most 512 KiB of pages.
const KEPT_OPEN: usize = 8;

/// Idle connections by segment, the last used one at the end.
#[derive(Default)]
pub(super) struct SegmentConnections {
    idle: Mutex<Vec<(String, Connection)>>,
}

/// Rows to read, up to a limit.
pub(super) struct ConsecutiveRows {
    pub(super) batch: Batch,
    kinds: Vec<ColumnType>,
    after: u64,
    limit: u64,
    full: bool,
    abandoned: Arc<AtomicBool>,
}

impl ConsecutiveRows {
    /// Requests at most `limit` rows of these columns after row number `after`. Reading stops when `abandoned` is set.
    pub(super) fn new(columns: &[Column], (after, limit): (u64, u32), abandoned: &Arc<AtomicBool>) -> Self {
        let kinds = columns.iter().map(|column| column.kind).collect();
        let (batch, abandoned) = (Batch::new(columns.len()), Arc::clone(abandoned));
        Self { batch, kinds, after, limit: limit.into(), full: false, abandoned }
    }

    fn ends(&self) -> bool {
        self.full || self.left() == 0 || self.abandoned.load(Ordering::Relaxed)
    }

    fn left(&self) -> u64 {
        self.limit - self.batch.len() as u64
    }

    /// Returns the range of a part's own row numbers to read: after the first, up to the second.
    fn range(&self, part: &SnapshotPart) -> (u64, u64) {
        let next = self.after.saturating_add(self.batch.len() as u64 + 1);
        let skipped = next.saturating_sub(part.first);
        (skipped, part.rows.min(skipped.saturating_add(self.left())))
    }
}

impl SegmentConnections {
    /// Fills the page from the parts, which are in order.
    pub(super) fn fill(
        &self,
        files: &SegmentFolder,
        parts: &[SnapshotPart],
        page: &mut ConsecutiveRows,
    ) -> Result<(), Error> {
        for part in parts {
            let (after, last) = page.range(part);
            if after < last && !page.ends() {
                self.with(files, &part.container, |connection| {
                    read_part(connection, &part.table, (after, last), page)
                })?;
            }
        }
        Ok(())
    }

    /// Reads a segment through a connection that stays open afterwards.
    pub(super) fn with<T>(
        &self,
        files: &SegmentFolder,
        segment: &str,
        work: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let connection = self.take(files, segment)?;
        let value = work(&connection)?;
        self.put(files, segment, connection);
        Ok(value)
    }

    /// Closes the connections to a deleted segment.
    pub(super) fn close(&self, segment: &str) {
        let mut idle = self.lock();
        let gone: Vec<_> = idle.extract_if(.., |(open, _)| open == segment).collect();
        drop(idle);
        if !gone.is_empty() {
            disk::close_later(gone);
        }
    }

    fn take(&self, files: &SegmentFolder, segment: &str) -> Result<Connection, Error> {
        let mut idle = self.lock();
        if let Some(index) = idle.iter().rposition(|(open, _)| open == segment) {
            return Ok(idle.remove(index).1);
        }
        drop(idle);
        // Only one thread uses a connection at a time, so it needs no lock per cell.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(files.path(segment), flags)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA cache_size = -512")?;
        Ok(connection)
    }

    /// Keeps a connection open, unless its file was unlinked meanwhile: closing that releases the disk space.
    fn put(&self, files: &SegmentFolder, segment: &str, connection: Connection) {
        let mut idle = self.lock();
        if !files.path(segment).exists() {
            return disk::close_later(connection);
        }
        idle.push((segment.to_owned(), connection));
        if idle.len() > KEPT_OPEN {
            idle.remove(0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, Connection)>> {
        lock(&self.idle)
    }
}

fn read_part(connection: &Connection, table: &str, range: (u64, u64), page: &mut ConsecutiveRows) -> Result<(), Error> {
    let sql = format!("SELECT * FROM {} WHERE _rowid_ > ?1 AND _rowid_ <= ?2 ORDER BY _rowid_", quoted(table));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([signed(range.0), signed(range.1)])?;
    while let Some(row) = rows.next()? {
        push(page, row)?;
        if page.ends() {
            break;
        }
    }
    Ok(())
}

fn push(page: &mut ConsecutiveRows, row: &rusqlite::Row) -> Result<(), Error> {
    let cells = page.kinds.iter().enumerate().map(|(index, kind)| shown(*kind, row.get_ref(index)?));
    let cells = cells.collect::<Result<Vec<_>, Error>>()?;
    let cells: Vec<_> = cells.iter().map(Option::as_deref).collect();
    let pushed = page.batch.push_within_page(&cells);
    page.full = !pushed.map_err(|error| Error::Failed(format!("a segment has an invalid row: {error}")))?;
    Ok(())
}
