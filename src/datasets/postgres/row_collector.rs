//! CollectedRows that are read as they lie, page after page, and held until those before them have come: writes of an import lie
//! between each other, so each page is read once only, and the server sorts nothing.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::super::RowWindow;

/// Pages of the first read: it tells how many bytes they have.
const FIRST: u64 = 8;

/// Bytes that a read is to send.
const BYTES: u64 = 1 << 20;

/// Bytes that a read may send.
pub(super) const MOST_BYTES: u64 = 16 * BYTES;

/// Bytes of rows held at which only those are read that come next.
const ENOUGH: usize = 32 << 20;

/// Bytes of rows held, and rows awaited, at which the table is not fit for it: its rows lie too far from their order.
const TOO_MUCH: usize = 64 << 20;
const TOO_FAR: u64 = 1 << 20;

/// The rows of one snapshot on their way.
#[derive(Default)]
pub(super) struct RowCollector {
    state: Mutex<CollectorState>,
    news: Notify,
}

/// What is to be done for the rows of a window.
pub(super) enum NextRead<'a> {
    /// All of them have come: their cells, in order.
    Take(Vec<Bytes>),
    /// These pages are to be read.
    Read(PageRead<'a>),
    /// They do not come this way.
    Unfit,
}

/// Pages that are being read. Dropped before their rows were given, they end the gathering.
pub(super) struct PageRead<'a> {
    collector: &'a RowCollector,
    pages: Range<u64>,
}

#[derive(Default)]
struct CollectorState {
    /// None before the first pages are known.
    left: Option<Range<u64>>,
    /// Pages of the next read.
    span: u64,
    reading: usize,
    unfit: bool,
    rows: CollectedRows,
}

/// CollectedRows by their numbers.
#[derive(Default)]
struct CollectedRows {
    /// None before the first window is known.
    before: Option<u64>,
    /// The row behind `before` and those behind it, where they are held.
    held: VecDeque<Option<Bytes>>,
    /// All of the first so many have come.
    come: usize,
    bytes: usize,
}

impl RowCollector {
    /// Gathers from the window on, unless it gathers already. To be called in the order of the windows.
    pub(super) fn begin(&self, window: RowWindow) {
        self.state().rows.before.get_or_insert(window.after);
    }

    /// Whether the pages are to be found first.
    pub(super) fn lacks_pages(&self) -> bool {
        self.state().left.is_none()
    }

    /// The pages, unless they are known already.
    pub(super) fn found(&self, pages: Range<u64>) {
        let mut state = self.state();
        if state.left.is_none() {
            (state.left, state.span) = (Some(pages), FIRST);
        }
    }

    /// The next thing to do for the window, once there is one.
    pub(super) async fn next(&self, window: RowWindow) -> NextRead<'_> {
        loop {
            let mut news = pin!(self.news.notified());
            news.as_mut().enable();
            let step = self.state().next(window);
            match step {
                Some(CollectorStep::Take(rows)) => return NextRead::Take(rows),
                Some(CollectorStep::Read(pages)) => return NextRead::Read(PageRead { collector: self, pages }),
                Some(CollectorStep::Unfit) => return NextRead::Unfit,
                None => news.await,
            }
        }
    }

    /// Lets go of rows that were taken.
    pub(super) fn release(&self, window: RowWindow) {
        self.state().rows.release(window);
        self.news.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, CollectorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageRead<'_> {
    pub(super) fn pages(&self) -> &Range<u64> {
        &self.pages
    }

    /// Gives the rows of the pages, each with its number, of a snapshot that ends with number `last`.
    pub(super) fn give(mut self, rows: Vec<(u64, Bytes)>, last: u64) {
        let pages = std::mem::take(&mut self.pages);
        self.collector.state().came(&pages, rows, last);
    }
}

impl Drop for PageRead<'_> {
    fn drop(&mut self) {
        let mut state = self.collector.state();
        state.reading -= 1;
        if !self.pages.is_empty() {
            state.give_up();
        }
        drop(state);
        self.collector.news.notify_waiters();
    }
}

/// See [`NextRead`].
enum CollectorStep {
    Take(Vec<Bytes>),
    Read(Range<u64>),
    Unfit,
}

impl CollectorState {
    /// None where others' rows are to be waited for.
    fn next(&mut self, window: RowWindow) -> Option<CollectorStep> {
        let (false, Some(left)) = (self.unfit, &mut self.left) else { return Some(CollectorStep::Unfit) };
        let Some(waits) = self.rows.waits(window) else { return Some(CollectorStep::Unfit) };
        if let Some(rows) = self.rows.whole(window) {
            return Some(CollectorStep::Take(rows));
        }
        if left.is_empty() {
            return (self.reading == 0).then_some(CollectorStep::Unfit);
        }
        if waits && self.rows.bytes >= ENOUGH {
            return None;
        }
        let end = left.start.saturating_add(self.span).min(left.end);
        self.reading += 1;
        Some(CollectorStep::Read(std::mem::replace(&mut left.start, end)..end))
    }

    fn came(&mut self, pages: &Range<u64>, rows: Vec<(u64, Bytes)>, last: u64) {
        if self.unfit {
            return;
        }
        let read = pages.end - pages.start;
        let bytes: usize = rows.iter().map(|(_, cells)| cells.len()).sum();
        self.span = (BYTES * read / (bytes as u64).max(1)).clamp(1, read.saturating_mul(8));
        let fitting = rows.into_iter().filter(|(number, _)| *number <= last).all(|row| self.rows.add(row));
        if !fitting || self.rows.bytes > TOO_MUCH {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.unfit = true;
        self.rows = CollectedRows::default();
    }
}

impl CollectedRows {
    /// Whether other rows come before those of the window; none where they were let go.
    fn waits(&self, window: RowWindow) -> Option<bool> {
        let before = self.before.filter(|before| *before <= window.after)?;
        Some(before + (self.come as u64) < window.after)
    }

    /// The rows of the window, if they have all come.
    fn whole(&self, window: RowWindow) -> Option<Vec<Bytes>> {
        let before = self.before?;
        let (from, to) = ((window.after - before) as usize, (window.last - before) as usize);
        (to <= self.come).then(|| self.held.range(from..to).flatten().cloned().collect())
    }

    /// False where it came before, or too early.
    fn add(&mut self, (number, cells): (u64, Bytes)) -> bool {
        let Some(index) = number.checked_sub(self.before.unwrap_or_default() + 1) else { return true };
        if index >= TOO_FAR {
            return false;
        }
        let index = index as usize;
        if index >= self.held.len() {
            self.held.resize(index + 1, None);
        }
        self.bytes += cells.len();
        let first = index >= self.come && self.held[index].replace(cells).is_none();
        while self.held.get(self.come).is_some_and(Option::is_some) {
            self.come += 1;
        }
        first
    }

    fn release(&mut self, window: RowWindow) {
        let Some(before) = self.before.filter(|before| *before <= window.after) else { return };
        let (from, to) = ((window.after - before) as usize, (window.last - before) as usize);
        for row in self.held.range_mut(from..to.min(self.come)) {
            self.bytes -= row.take().map_or(0, |cells| cells.len());
        }
        let gone = self.held.iter().take(self.come).take_while(|row| row.is_none()).count();
        self.held.drain(..gone);
        self.come -= gone;
        self.before = Some(before + gone as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: RowWindow = RowWindow { after: 10, last: 16 };

    fn collector() -> RowCollector {
        let collector = RowCollector::default();
        collector.begin(ALL);
        collector.found(0..4 * FIRST);
        collector
    }

    fn rows(numbers: &[u64]) -> Vec<(u64, Bytes)> {
        numbers.iter().map(|number| (*number, number.to_string().into())).collect()
    }

    fn window(after: u64, last: u64) -> RowWindow {
        RowWindow { after, last }
    }

    async fn reading(collector: &RowCollector, window: RowWindow) -> PageRead<'_> {
        match collector.next(window).await {
            NextRead::Read(reading) => reading,
            NextRead::Take(_) | NextRead::Unfit => panic!("pages were to be read"),
        }
    }

    async fn taken(collector: &RowCollector, window: RowWindow) -> Vec<Bytes> {
        match collector.next(window).await {
            NextRead::Take(rows) => rows,
            NextRead::Read(_) | NextRead::Unfit => panic!("rows had come"),
        }
    }

    async fn is_unfit(collector: &RowCollector, window: RowWindow) -> bool {
        matches!(collector.next(window).await, NextRead::Unfit)
    }

    #[tokio::test]
    async fn rows_wait_for_those_before_them() {
        let collector = collector();
        let (one, two) = (reading(&collector, window(10, 12)).await, reading(&collector, window(12, 14)).await);
        assert_eq!((one.pages().clone(), two.pages().clone()), (0..FIRST, FIRST..2 * FIRST));
        two.give(rows(&[9, 13, 14, 11, 17]), 16);
        one.give(rows(&[15, 12]), 16);
        assert_eq!(taken(&collector, window(10, 12)).await, ["11", "12"]);
        assert_eq!(taken(&collector, window(12, 15)).await, ["13", "14", "15"]);
        collector.release(window(12, 14));
        collector.release(window(10, 12));
        assert_eq!(taken(&collector, window(14, 15)).await, ["15"], "a page may leave rows of its window");
        assert!(is_unfit(&collector, window(10, 12)).await, "let go of");
        reading(&collector, window(14, 16)).await.give(rows(&[16]), 16);
        collector.release(window(14, 15));
        assert_eq!(taken(&collector, window(15, 16)).await, ["16"]);
        assert_eq!(collector.state().rows.bytes, 2);
    }

    #[tokio::test]
    async fn what_is_read_by_another_is_waited_for() {
        let collector = collector();
        let mut pages = Vec::new();
        for _ in 0..4 {
            pages.push(reading(&collector, ALL).await);
        }
        let mut waiting = pin!(collector.next(ALL));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        pages.pop().unwrap().give(rows(&[11, 13, 15]), 16);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        pages.pop().unwrap().give(rows(&[12, 14, 16]), 16);
        assert!(matches!(waiting.await, NextRead::Take(rows) if rows.len() == 6));
    }

    #[tokio::test]
    async fn a_table_that_lacks_a_row_has_it_twice_or_has_it_far_away_is_not_gathered() {
        for odd in [&[11, 12, 13, 14, 16][..], &[11, 12, 12, 13, 14, 15, 16], &[11, TOO_FAR + 12]] {
            let collector = collector();
            collector.state().left = Some(0..FIRST);
            reading(&collector, ALL).await.give(rows(odd), u64::MAX);
            assert!(is_unfit(&collector, ALL).await, "{odd:?}");
        }
    }

    #[tokio::test]
    async fn a_read_that_fails_ends_it_for_all() {
        let collector = collector();
        let (one, two) = (reading(&collector, ALL).await, reading(&collector, ALL).await);
        drop(one);
        assert!(is_unfit(&collector, ALL).await);
        two.give(rows(&[11]), 16);
        assert!(is_unfit(&collector, ALL).await);
    }

    #[tokio::test]
    async fn reads_grow_to_their_size_and_hold_back_where_much_is_held() {
        let collector = collector();
        collector.state().left = Some(0..1000);
        let row = |number, bytes| vec![(number, Bytes::from(vec![b'x'; bytes]))];
        reading(&collector, ALL).await.give(row(11, 1024), 16);
        let grown = reading(&collector, ALL).await;
        assert_eq!(grown.pages(), &(FIRST..9 * FIRST));
        grown.give(row(14, ENOUGH), 16);
        assert!(futures_util::poll!(pin!(collector.next(window(12, 14)))).is_pending());
        let next = reading(&collector, window(11, 12)).await;
        assert_eq!(next.pages(), &(9 * FIRST..9 * FIRST + 2));
        next.give(row(12, TOO_MUCH), 16);
        assert!(is_unfit(&collector, ALL).await);
    }
}
