//! Reading a snapshot for an export: the rows of a window of numbers, as lines.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};

use super::{CsvLines, Error};

/// Windows that are read at once: one more than the cores of a small machine, so that none of them waits for an answer.
const AT_ONCE: usize = 3;

/// Reads the chosen columns and rows of a snapshot. Windows may be read at the same time; each holds a connection only
/// for as long as it is read.
#[async_trait]
pub trait SnapshotReader: Send + Sync {
    /// How many rows of the window are chosen.
    async fn count(&self, window: RowWindow) -> Result<u64, Error>;

    /// The chosen rows of the window, up to a limit. Where a page ends depends on the rows and the limit alone.
    async fn read(&self, window: RowWindow, limit: PageLimit) -> Result<CsvPage, Error>;

    /// Ends what is being read: pages and counts that are answered from now on are not whole, and come at once.
    fn stop(&self);

    /// Whether it was stopped.
    fn is_stopped(&self) -> bool;
}

/// Rows by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowWindow {
    /// The number before the first one.
    pub after: u64,
    /// The last one's number.
    pub last: u64,
}

/// Where a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// With so many rows, at least 1.
    pub rows: u64,
    /// With the row that reaches so many bytes.
    pub bytes: usize,
    /// Cells that a spreadsheet would run as a formula are guarded.
    pub guard: bool,
}

/// Rows that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvPage {
    /// Their lines.
    pub lines: CsvLines,
    /// How many they are.
    pub rows: u64,
    /// The number up to which rows were looked at: the window's last, or less where the limit was reached.
    pub last: u64,
}

/// The pages of `all` in order, some windows of `step` rows being read at once. The windows lie on a grid that does not
/// depend on where reading begins. The stream ends early where the reader is stopped.
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

/// How many rows of each window are chosen, in order, some windows being counted at once.
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

/// Pages on their way: the first page of each window is read ahead, those behind it as they are wanted.
struct PageStream {
    reader: Arc<dyn SnapshotReader>,
    limit: PageLimit,
    ahead: BoxStream<'static, (RowWindow, Result<CsvPage, Error>)>,
    /// What the last page left of its window.
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

    /// Notes that the row `number` was added; true where the page is full.
    pub(super) fn added(&mut self, number: u64, limit: PageLimit) -> bool {
        self.rows += 1;
        self.last = number;
        self.rows >= limit.rows || self.lines.len() >= limit.bytes
    }
}
