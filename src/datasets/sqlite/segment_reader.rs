//! Reads the segments of a snapshot. Cells are copied from SQLite's page to the CSV lines without intermediate storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::super::identifiers::quoted;
use super::super::model::SnapshotPart;
use super::super::{ColumnType, CsvLines, CsvPage, Error, PageLimit, RowWindow, Selection, Snapshot, SnapshotReader};
use super::conditions::SqlConditions;
use super::listing::unsigned;
use super::segment::names;
use super::stored::shown;
use super::{SqliteState, blocking};
use crate::numbers::signed;

/// Rows between two checks of the stop flag.
const CHECK_EVERY: u64 = 64;

/// A snapshot of segments, and the selection.
pub(super) struct SegmentReader {
    shared: Arc<SqliteState>,
    inner: Arc<SegmentQuery>,
}

/// The query that the reading threads share.
struct SegmentQuery {
    parts: Vec<SnapshotPart>,
    columns: String,
    conditions: SqlConditions,
    every_row: bool,
    kinds: Vec<ColumnType>,
    stopped: AtomicBool,
}

impl SegmentReader {
    pub(super) fn new(shared: &Arc<SqliteState>, snapshot: &Snapshot, selection: &Selection) -> Self {
        let names = names(&snapshot.columns);
        let columns: Vec<_> = selection.chosen.iter().map(|index| names[*index].as_str()).collect();
        let kind = |index: usize| snapshot.columns[index].kind;
        let inner = SegmentQuery {
            parts: snapshot.parts.clone(),
            columns: columns.join(", "),
            conditions: SqlConditions::new(&snapshot.columns, &selection.conditions, 3),
            every_row: selection.is_every_row(),
            kinds: selection.chosen.iter().map(|index| kind(*index)).collect(),
            stopped: AtomicBool::new(false),
        };
        Self { shared: Arc::clone(shared), inner: Arc::new(inner) }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SqliteState, &SegmentQuery) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (shared, inner) = (Arc::clone(&self.shared), Arc::clone(&self.inner));
        blocking(move || work(&shared, &inner)).await
    }
}

#[async_trait]
impl SnapshotReader for SegmentReader {
    async fn count(&self, window: RowWindow) -> Result<u64, Error> {
        self.run(move |shared, inner| inner.count(shared, window)).await
    }

    async fn read(&self, window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error> {
        self.run(move |shared, inner| inner.read(shared, window, limit)).await
    }

    fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.inner.is_stopped()
    }
}

impl SegmentQuery {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn count(&self, shared: &SqliteState, window: RowWindow) -> Result<u64, Error> {
        let mut count = 0;
        for (part, range) in self.overlaps(window).take_while(|_| !self.is_stopped()) {
            let sql = format!(
                "SELECT count(*) FROM {} WHERE _rowid_ > ?1 AND _rowid_ <= ?2{}",
                quoted(&part.table),
                self.conditions.sql()
            );
            let values = self.values(range)?;
            count += shared.readers.with(&shared.files, &part.container, |connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                Ok(statement.query_row(params_from_iter(values), |row| unsigned(row, 0))?)
            })?;
        }
        Ok(count)
    }

    fn read(&self, shared: &SqliteState, window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error> {
        let mut page = CsvPage::new(window, limit);
        for (part, range) in self.overlaps(window).take_while(|_| !self.is_stopped()) {
            let full = shared.readers.with(&shared.files, &part.container, |connection| {
                self.read_part(connection, part, range, (limit, &mut page))
            })?;
            if full {
                return Ok(page);
            }
        }
        if !self.is_stopped() && self.every_row && page.rows != window.last.saturating_sub(window.after) {
            return Err(Error::Failed(format!("some of rows {} to {} are missing", window.after + 1, window.last)));
        }
        page.last = window.last;
        Ok(page)
    }

    /// Returns the parts that have rows of the window, and the range of their own row numbers: after the first, up to
    /// the second.
    fn overlaps(&self, window: RowWindow) -> impl Iterator<Item = (&SnapshotPart, (u64, u64))> {
        self.parts.iter().filter_map(move |part| {
            let before = part.first - 1;
            let (after, last) = (window.after.saturating_sub(before), window.last.saturating_sub(before));
            (after < last.min(part.rows)).then(|| (part, (after, last.min(part.rows))))
        })
    }

    /// Reads rows of a part. Returns true if the page is full or the reader is stopped.
    fn read_part(
        &self,
        connection: &Connection,
        part: &SnapshotPart,
        range: (u64, u64),
        (limit, page): (PageLimit, &mut CsvPage),
    ) -> Result<bool, Error> {
        let sql = format!(
            "SELECT {}, _rowid_ FROM {} WHERE _rowid_ > ?1 AND _rowid_ <= ?2{} ORDER BY _rowid_",
            self.columns,
            quoted(&part.table),
            self.conditions.sql()
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(self.values(range)?))?;
        while let Some(row) = rows.next()? {
            for (index, kind) in self.kinds.iter().enumerate() {
                add_cell(&mut page.lines, *kind, row.get_ref(index)?)?;
            }
            page.lines.end_row();
            let number = part.first - 1 + unsigned(row, self.kinds.len())?;
            let stops = page.rows % CHECK_EVERY == 0 && self.is_stopped();
            if page.added(number, limit) || stops {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the range and the values of the conditions as SQLite stores them.
    fn values(&self, (after, last): (u64, u64)) -> Result<Vec<ToSqlOutput<'_>>, Error> {
        let range = [after, last].map(|number| Ok(signed(number).into()));
        range.into_iter().chain(self.conditions.values()).collect()
    }
}

fn add_cell(lines: &mut CsvLines, kind: ColumnType, kept: ValueRef<'_>) -> Result<(), Error> {
    match kept {
        ValueRef::Null => lines.cell(None),
        ValueRef::Text(text) if kind != ColumnType::Timestamp => lines.cell(Some(text)),
        _ => lines.cell(shown(kind, kept)?.as_deref().map(str::as_bytes)),
    }
    Ok(())
}
