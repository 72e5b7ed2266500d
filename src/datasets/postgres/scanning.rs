//! Reading a snapshot's table: each window is a COPY, or a few where rows are large, in a transaction of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use tokio::sync::OnceCell;

use super::super::{ColumnType, Error, Limit, Page, Reader, Selection, Snapshot, Window};
use super::copy_text::{add_row, is_plain};
use super::pins;
use super::places::Places;
use super::schema::{ROW, declared, names};

/// Rows of the first COPY: it tells how large rows are.
const FIRST: u64 = 64;

/// A COPY is to send no more bytes than these, so that what is read in vain stays small.
const BYTES: u64 = 4 << 20;

/// Times that a table is looked for which moves away meanwhile.
const TRIES: usize = 5;

/// The numbers' index is all that is needed, and rows are to come as they lie in the table.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0;
    SET LOCAL synchronize_seqscans = off";

/// A snapshot of a table and what is chosen of it.
pub(super) struct Scan(Arc<Inner>);

struct Inner {
    pool: PgPool,
    snapshot: Snapshot,
    columns: String,
    conditions: String,
    kinds: Vec<ColumnType>,
    /// PostgreSQL's text of each cell is the one that is written everywhere.
    plain: bool,
    every_row: bool,
    /// Where the table was last.
    table: Mutex<Option<String>>,
    /// Rows of the next COPY.
    span: AtomicU64,
    /// Where the rows lie, once that was looked for.
    places: OnceCell<Places>,
    /// Rows do not lie in their order, so they are found by the index and sorted.
    sorted: AtomicBool,
    stopped: AtomicBool,
}

/// How a COPY ended.
enum Copied {
    /// The page is full, or nobody wants it any more; so many rows were looked at.
    Full(u64),
    /// All rows were taken, so many bytes.
    Whole(u64),
    /// A row came before one with a smaller number.
    OutOfOrder,
}

impl Scan {
    pub(super) fn new(pool: &PgPool, snapshot: &Snapshot, selection: &Selection) -> Self {
        let names = names(&snapshot.columns);
        let kind = |index: usize| snapshot.columns[index].kind;
        let conditions = selection.conditions.iter().map(|condition| {
            let kind = kind(condition.column);
            let collation = if kind == ColumnType::Text { " COLLATE \"C\"" } else { "" };
            let (name, value) = (&names[condition.column], literal(&condition.value));
            format!(" AND {name}{collation} {} {value}::{}", condition.operator, declared(kind))
        });
        let kinds: Vec<_> = selection.chosen.iter().map(|index| kind(*index)).collect();
        Self(Arc::new(Inner {
            pool: pool.clone(),
            snapshot: snapshot.clone(),
            columns: selection.chosen.iter().map(|index| format!(", {}", names[*index])).collect(),
            conditions: conditions.collect(),
            plain: kinds.iter().all(|kind| is_plain(*kind)),
            kinds,
            every_row: selection.is_every_row(),
            table: Mutex::new(None),
            span: AtomicU64::new(FIRST),
            places: OnceCell::new(),
            sorted: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }))
    }
}

impl Inner {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// A transaction in which the table stays where it is, and its name.
    async fn begin(&self) -> Result<(Transaction<'static, Postgres>, String), Error> {
        for _ in 0..TRIES {
            let known = self.known().clone();
            let table = match known {
                Some(table) => table,
                None => pins::find_table(&mut *self.pool.acquire().await?, &self.snapshot).await?,
            };
            let begin = format!("{BEGIN}; LOCK TABLE {table} IN ACCESS SHARE MODE");
            // Another table may have taken the name before the lock; this one has then moved.
            let begun = self.pool.begin_with(AssertSqlSafe(begin)).await;
            if let Ok(mut transaction) = begun
                && pins::find_table(&mut transaction, &self.snapshot).await? == table
            {
                *self.known() = Some(table.clone());
                return Ok((transaction, table));
            }
            *self.known() = None;
        }
        Err(Error::Unavailable("the table of the snapshot cannot be locked".into()))
    }

    fn known(&self) -> MutexGuard<'_, Option<String>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn count(&self, Window { after, last }: Window) -> Result<u64, Error> {
        if self.is_stopped() {
            return Ok(0);
        }
        let (mut transaction, table) = self.begin().await?;
        let conditions = &self.conditions;
        let sql = format!("SELECT count(*) FROM {table} WHERE {ROW} > {after} AND {ROW} <= {last}{conditions}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(count.unsigned_abs())
    }

    async fn pages(&self, window: Window, limit: Limit) -> Result<Page, Error> {
        let (mut transaction, table) = self.begin().await?;
        let mut page = Page::new(window, limit);
        let mut after = window.after;
        while after < window.last && !self.is_stopped() {
            let (sorted, span) = (self.sorted.load(Ordering::Relaxed), self.span.load(Ordering::Relaxed));
            let wanted = if self.every_row { span.min(limit.rows - page.rows) } else { span };
            let last = after.saturating_add(wanted).min(window.last);
            let before = page.rows;
            let order = self.order(&mut transaction, &table, Window { after, last }, sorted).await?;
            let rows = Window { after, last };
            let copied = self.copy(&mut transaction, &table, (rows, order), (limit, &mut page)).await?;
            let (looked, full) = match copied {
                Copied::Full(rows) => (after + rows, true),
                Copied::Whole(_) | Copied::OutOfOrder => (last, false),
            };
            let whole = !self.every_row || page.rows - before == looked - after;
            match copied {
                Copied::Whole(bytes) if whole => {
                    let fitting = BYTES * (last - after) / bytes.max(1);
                    self.span.store(fitting.clamp(1, span.saturating_mul(8)), Ordering::Relaxed);
                    page.last = last;
                }
                Copied::Full(rows) if whole => {
                    self.span.store(rows.saturating_mul(2).clamp(1, span), Ordering::Relaxed);
                }
                // Rows do not lie where they were looked for, or not in their order.
                _ if !sorted => {
                    self.sorted.store(true, Ordering::Relaxed);
                    page = Page::new(window, limit);
                    after = window.after;
                    continue;
                }
                _ => return Err(Error::Failed(format!("rows of {table} are missing or doubled"))),
            }
            if full {
                break;
            }
            after = looked;
        }
        transaction.commit().await?;
        Ok(page)
    }

    /// How the rows are found, as the end of a query: sorted, by the pages on which they lie, or by the index as they lie.
    /// Where rows are filtered, no count would confirm that those pages have all of them.
    async fn order(
        &self,
        connection: &mut PgConnection,
        table: &str,
        window: Window,
        sorted: bool,
    ) -> Result<String, Error> {
        if sorted {
            return Ok(format!(" ORDER BY {ROW}"));
        }
        if !self.every_row {
            return Ok(String::new());
        }
        let places = self.places.get_or_try_init(|| Places::look(connection, table)).await?;
        Ok(places.condition(window).unwrap_or_default())
    }

    async fn copy(
        &self,
        connection: &mut PgConnection,
        table: &str,
        (Window { after, last }, order): (Window, String),
        (limit, page): (Limit, &mut Page),
    ) -> Result<Copied, Error> {
        let Self { columns, conditions, .. } = self;
        let select =
            format!("SELECT {ROW}{columns} FROM {table} WHERE {ROW} > {after} AND {ROW} <= {last}{conditions}");
        let sql = format!("COPY ({select}{order}) TO STDOUT");
        let mut rows = connection.copy_out_raw(&sql).await?;
        let mut taking = Taking { inner: self, limit, page, number: after, full: None };
        let (mut bytes, mut taken) = (0, Ok(true));
        // Read to the end in any case: that the order holds is known there, and the connection is fit for use.
        while let Some(data) = rows.try_next().await? {
            bytes += data.len() as u64;
            if let Ok(true) = taken {
                let mut rows = data.split_inclusive(|byte| *byte == b'\n');
                taken = rows.try_fold(true, |in_order, row| taking.take(row).map(|ok| in_order && ok));
            }
        }
        Ok(match (taken?, taking.full) {
            (false, _) => Copied::OutOfOrder,
            (true, Some(number)) => Copied::Full(number - after),
            (true, None) => Copied::Whole(bytes),
        })
    }
}

/// The rows of a COPY on their way into a page.
struct Taking<'a> {
    inner: &'a Inner,
    limit: Limit,
    page: &'a mut Page,
    /// The number of the last row.
    number: u64,
    /// The number of the row with which the page was full, or nobody wanted it any more.
    full: Option<u64>,
}

impl Taking<'_> {
    /// False where the row comes too late.
    fn take(&mut self, row: &[u8]) -> Result<bool, Error> {
        let (number, cells) = numbered(row)?;
        if number <= self.number {
            return Ok(false);
        }
        self.number = number;
        if self.full.is_none() {
            add_row(&mut self.page.lines, &self.inner.kinds, self.inner.plain, cells)?;
            if self.page.added(number, self.limit) || self.inner.is_stopped() {
                self.full = Some(number);
            }
        }
        Ok(true)
    }
}

/// Works on a task of its own, which comes to its end even where the caller is dropped: a COPY that is not read to its end
/// leaves its connection unfit for use.
async fn apart<T: Send + 'static>(work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    let ended = tokio::spawn(work).await;
    ended.unwrap_or_else(|error| Err(Error::Failed(format!("a reader ended: {error}"))))
}

#[async_trait]
impl Reader for Scan {
    async fn count(&self, window: Window) -> Result<u64, Error> {
        let inner = Arc::clone(&self.0);
        apart(async move { inner.count(window).await }).await
    }

    async fn read(&self, window: Window, limit: Limit) -> Result<Page, Error> {
        let inner = Arc::clone(&self.0);
        apart(async move { inner.pages(window, limit).await }).await
    }

    fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

/// A line's number and its cells, without the line's end.
fn numbered(row: &[u8]) -> Result<(u64, &[u8]), Error> {
    let line = row.strip_suffix(b"\n");
    let parts = line.and_then(|line| line.split_at_checked(line.iter().position(|byte| *byte == b'\t')?));
    let number = parts.and_then(|(number, _)| std::str::from_utf8(number).ok()?.parse().ok());
    match (number, parts) {
        (Some(number), Some((_, cells))) => Ok((number, &cells[1..])),
        _ => Err(Error::Failed(format!("COPY sent {:?}", String::from_utf8_lossy(&row[..row.len().min(60)])))),
    }
}

/// A text as SQL has it, whatever the session's settings are.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
