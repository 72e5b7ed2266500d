//! Reading a snapshot as CSV, by ranges of row numbers.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};

use super::{CsvLines, Error};

/// Windows read at once: one more than a small machine has cores, so that no core waits for a response.
const AT_ONCE: usize = 3;

/// Reads the selected columns and rows of a snapshot. Windows may be read at the same time. Each uses a connection only
/// while it is read.
#[async_trait]
pub trait SnapshotReader: Send + Sync {
    /// Returns the number of selected rows in the window.
    async fn count(&self, window: RowWindow) -> Result<u64, Error>;

    /// Returns the selected rows of the window, up to a limit. The end of a page depends only on the rows and the
    /// limit.
    async fn read(&self, window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error>;

    /// Stops all reads: they return at once with incomplete pages and counts, from now on.
    fn stop(&self);

    /// Returns true if the reader was stopped.
    fn is_stopped(&self) -> bool;
}

/// A range of row numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowWindow {
    /// Number before the first row.
    pub after: u64,
    /// Number of the last row.
    pub last: u64,
}

/// Limits of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Maximum number of rows, from 1.
    pub rows: u64,
    /// Number of bytes after which the page ends, with the row that reaches it.
    pub bytes: usize,
    /// Guard cells that a spreadsheet would run as formulas.
    pub guard: bool,
}

/// Rows as CSV lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvPage {
    /// The lines.
    pub lines: CsvLines,
    /// Number of rows.
    pub rows: u64,
    /// Number of the last row that was read: the window's last, or less if the limit was reached.
    pub last: u64,
}

/// Streams the pages of `all` in order, reading several windows of `step` rows at once. The bounds of the windows are
/// multiples of `step`, wherever reading begins. The stream ends early if the reader is stopped.
pub fn pages(
    reader: Arc<dyn SnapshotReader>,
    all: RowWindow,
    step: u64,
    limit: PageLimit,
) -> impl Stream<Item = Result<CsvPage, Error>> {
    let each = Arc::clone(&reader);
    let ahead = windows(Arc::clone(&reader), all, step).map(move |window| {
        let reader = Arc::clone(&each);
        async move { (window, reader.read(window, limit).await) }
    });
    let pages = PageStream { reader, limit, ahead: ahead.buffered(AT_ONCE).boxed(), rest: None };
    stream::unfold(pages, async |mut pages| Some((pages.next().await?, pages)))
}

/// Streams the number of selected rows of each window in order, counting several windows at once.
pub fn counts(
    reader: Arc<dyn SnapshotReader>,
    all: RowWindow,
    step: u64,
) -> impl Stream<Item = (RowWindow, Result<u64, Error>)> {
    let counted = windows(Arc::clone(&reader), all, step).map(move |window| {
        let reader = Arc::clone(&reader);
        async move { (window, reader.count(window).await) }
    });
    counted.buffered(AT_ONCE)
}

fn windows(reader: Arc<dyn SnapshotReader>, all: RowWindow, step: u64) -> impl Stream<Item = RowWindow> + Send {
    stream::unfold(all.after, move |after| {
        let last = (after / step + 1).saturating_mul(step).min(all.last);
        let next = (after < all.last && !reader.is_stopped()).then_some((RowWindow { after, last }, last));
        std::future::ready(next)
    })
}

/// The pages of a stream. The first page of each window is read ahead, the others on demand.
struct PageStream {
    reader: Arc<dyn SnapshotReader>,
    limit: PageLimit,
    ahead: BoxStream<'static, (RowWindow, Result<CsvPage, Error>)>,
    /// The rest of a window after its last page.
    rest: Option<RowWindow>,
}

impl PageStream {
    async fn next(&mut self) -> Option<Result<CsvPage, Error>> {
        let (window, page) = match self.rest.take() {
            Some(rest) if !self.reader.is_stopped() => (rest, self.reader.read(rest, self.limit).await),
            _ => self.ahead.next().await?,
        };
        if let Ok(page) = &page
            && page.last < window.last
        {
            self.rest = Some(RowWindow { after: page.last, last: window.last });
        }
        Some(page)
    }
}

impl CsvPage {
    pub(super) fn new(window: RowWindow, limit: PageLimit) -> CsvPage {
        CsvPage { lines: CsvLines::new(limit.guard), rows: 0, last: window.after }
    }

    /// Counts the added row `number`. Returns true if the page is full.
    pub(super) fn added(&mut self, number: u64, limit: PageLimit) -> bool {
        self.rows += 1;
        self.last = number;
        self.rows >= limit.rows || self.lines.len() >= limit.bytes
    }
}
