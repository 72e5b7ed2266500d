//! Reads the table of a snapshot by COPY, in short transactions. If all rows are selected, they are collected in
//! storage order. Filtered rows, small reads, and rows that cannot be collected are read by the index of row numbers,
//! sorted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use futures_util::{FutureExt, TryFutureExt, TryStreamExt};
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use crate::spawn::spawn;

use super::super::{ColumnType, CsvPage, Error, PageLimit, RowWindow, Selection, Snapshot, SnapshotReader};
use super::conditions::SqlColumns;
use super::copy_text::{add_row, is_plain};
use super::fence::backend;
use super::locked_table::SnapshotTable;
use super::page_range::{page_range, pages};
use super::row_collector::{MOST_BYTES, NextRead, RowCollector};
use super::schema::{ROW, names};
use super::{PgConnections, in_time};

/// Rows of the first COPY by the index. It measures the size of rows.
const FIRST: u64 = 64;

/// Target size of a COPY by the index, in bytes. It limits how many rows are read without being used.
const BYTES: u64 = 4 << 20;

/// A snapshot of a table, and the selection.
pub(super) struct TableReader(Arc<TableQuery>);

struct TableQuery {
    table: SnapshotTable,
    /// Last row number of the snapshot.
    last: u64,
    columns: String,
    conditions: String,
    kinds: Vec<ColumnType>,
    /// PostgreSQL's text of every selected column is the canonical one.
    plain: bool,
    every_row: bool,
    collector: RowCollector,
    /// Rows of the next COPY by the index.
    span: AtomicU64,
    stopped: CancellationToken,
}

impl TableReader {
    pub(super) fn new(pool: &PgConnections, snapshot: &Snapshot, selection: &Selection) -> Self {
        let names = names(&snapshot.columns);
        let kind = |index: usize| snapshot.columns[index].kind;
        let kinds: Vec<_> = selection.chosen.iter().map(|index| kind(*index)).collect();
        Self(Arc::new(TableQuery {
            table: SnapshotTable::new(pool, snapshot),
            last: snapshot.rows,
            columns: selection.chosen.iter().map(|index| format!(", {}", names[*index])).collect(),
            conditions: SqlColumns::new(&snapshot.columns).conditions(&selection.conditions),
            plain: kinds.iter().all(|kind| is_plain(*kind)),
            kinds,
            every_row: selection.is_every_row(),
            collector: RowCollector::default(),
            span: AtomicU64::new(FIRST),
            stopped: CancellationToken::new(),
        }))
    }
}

impl TableQuery {
    fn is_stopped(&self) -> bool {
        self.stopped.is_cancelled()
    }

    async fn count(&self, RowWindow { after, last }: RowWindow) -> Result<u64, Error> {
        if self.is_stopped() {
            return Ok(0);
        }
        let mut locked = self.table.lock().await?;
        let (table, conditions) = (&locked.table, &self.conditions);
        let sql = format!("SELECT count(*) FROM {table} WHERE {ROW} > {after} AND {ROW} <= {last}{conditions}");
        let backend = in_time(backend(&mut locked)).await?;
        let count = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *locked);
        let count: i64 = self.table.connections().while_working(backend, count.map_err(Error::from).boxed()).await?;
        in_time(locked.commit()).await?;
        Ok(count.unsigned_abs())
    }

    /// Returns a page of the window's rows by collecting them.
    async fn collected(&self, window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error> {
        if self.collector.lacks_pages() {
            let mut locked = self.table.lock().await?;
            let table = locked.table.clone();
            self.collector.found(in_time(page_range(&mut locked, &table, window.after)).await?);
            in_time(locked.commit()).await?;
        }
        loop {
            match self.collector.next(window).await {
                NextRead::Take(rows) => {
                    let page = self.page(&rows, window, limit)?;
                    self.collector.release(RowWindow { last: page.last, ..window });
                    return Ok(page);
                }
                NextRead::Unfit => return self.sorted(window, limit).await,
                NextRead::Read(reading) => {
                    let (mut rows, mut bytes) = (Vec::new(), 0);
                    let condition = format!("WHERE {}", pages(reading.pages()));
                    let copying = self.copy(&condition, |number, cells| {
                        bytes += cells.len() as u64;
                        rows.push((number, cells));
                        Ok(bytes <= MOST_BYTES)
                    });
                    if copying.await? {
                        reading.give(rows, self.last);
                    }
                }
            }
        }
    }

    fn page(&self, rows: &[Bytes], window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error> {
        let mut page = CsvPage::new(window, limit);
        for (number, cells) in (window.after + 1..).zip(rows) {
            add_row(&mut page.lines, &self.kinds, self.plain, cells)?;
            if page.added(number, limit) || self.is_stopped() {
                break;
            }
        }
        Ok(page)
    }

    /// Returns a page of the window's rows by the index.
    async fn sorted(&self, window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error> {
        let mut page = CsvPage::new(window, limit);
        while page.last < window.last && !self.is_stopped() {
            let span = self.span.load(Ordering::Relaxed);
            let wanted = if self.every_row { span.min(limit.rows - page.rows) } else { span };
            let (after, before) = (page.last, page.rows);
            let last = after.saturating_add(wanted).min(window.last);
            let rows = format!("WHERE {ROW} > {after} AND {ROW} <= {last}{} ORDER BY {ROW}", self.conditions);
            let (mut bytes, mut full) = (0, false);
            let copying = self.copy(&rows, |number, cells| {
                bytes += cells.len() as u64;
                if !full {
                    add_row(&mut page.lines, &self.kinds, self.plain, &cells)?;
                    full = page.added(number, limit);
                }
                Ok(true)
            });
            if !copying.await? {
                break;
            }
            let looked = if full { page.last } else { last };
            if self.every_row && page.rows - before != looked - after {
                return Err(Error::Failed("rows of a dataset are missing or duplicated".into()));
            }
            page.last = looked;
            let next = if full { (looked - after) * 2 } else { BYTES * (last - after) / bytes.max(1) };
            self.span.store(next.clamp(1, span.saturating_mul(8)), Ordering::Relaxed);
            if full {
                break;
            }
        }
        Ok(page)
    }

    /// Passes rows to `take` until it returns false or the reader is stopped. Returns true if all rows were passed.
    async fn copy(
        &self,
        rows: &str,
        mut take: impl FnMut(u64, Bytes) -> Result<bool, Error> + Send,
    ) -> Result<bool, Error> {
        let mut locked = self.table.lock().await?;
        let sql = format!("COPY (SELECT {ROW}{} FROM {} {rows}) TO STDOUT", self.columns, locked.table);
        let backend = in_time(backend(&mut locked)).await?;
        let copying = async {
            let mut lines = locked.copy_out_raw(&sql).await?;
            while let Some(line) = lines.try_next().await? {
                let (number, cells) = numbered(line)?;
                if self.is_stopped() || !take(number, cells)? {
                    return Ok(false);
                }
            }
            Ok::<bool, Error>(true)
        };
        let all = self.table.connections().while_working(backend, copying.boxed()).await?;
        if all {
            in_time(locked.commit()).await?;
        }
        Ok(all)
    }
}

/// Runs `work` as a separate task, so that it can use another core.
async fn run_separately<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let ended = spawn(work).await;
    ended.unwrap_or_else(|error| Err(Error::Failed(format!("a reader failed: {error}"))))
}

#[async_trait]
impl SnapshotReader for TableReader {
    async fn count(&self, window: RowWindow) -> Result<u64, Error> {
        let inner = Arc::clone(&self.0);
        run_separately(async move {
            tokio::select! {
                biased;
                () = inner.stopped.cancelled() => Ok(0),
                count = inner.count(window) => count,
            }
        })
        .await
    }

    async fn read(&self, window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error> {
        let inner = Arc::clone(&self.0);
        let rows = window.last.saturating_sub(window.after);
        let collects = inner.every_row && rows > 0 && limit.rows >= rows;
        if collects {
            // The first reads of windows are in order.
            inner.collector.begin(window);
        }
        run_separately(async move {
            let reading = async {
                if collects { inner.collected(window, limit).await } else { inner.sorted(window, limit).await }
            };
            // Does not wait for a server that does not respond: closes its connection.
            tokio::select! {
                biased;
                () = inner.stopped.cancelled() => Ok(CsvPage::new(window, limit)),
                page = reading => page,
            }
        })
        .await
    }

    fn stop(&self) {
        self.0.stopped.cancel();
    }

    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

/// Returns the number of a line and its cells, without the line end.
fn numbered(mut line: Bytes) -> Result<(u64, Bytes), Error> {
    let tab = line.iter().position(|byte| *byte == b'\t');
    let number = tab.and_then(|tab| std::str::from_utf8(&line[..tab]).ok()?.parse().ok());
    match (number, tab) {
        (Some(number), Some(tab)) if line.ends_with(b"\n") => {
            line.truncate(line.len() - 1);
            line.advance(tab + 1);
            Ok((number, line))
        }
        _ => Err(Error::Failed(format!(
            "COPY sent the invalid line {:?}",
            String::from_utf8_lossy(&line[..line.len().min(60)])
        ))),
    }
}
