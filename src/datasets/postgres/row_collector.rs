//! Collects rows in storage order, page by page, and keeps them until all earlier rows have arrived. The writes of an
//! import overlap in the table, so this reads each page only once, and the server does not sort.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::Notify;

use super::super::RowWindow;
use crate::lock::lock;

/// Pages of the first read. It measures their size in bytes.
const FIRST: u64 = 8;

/// Target size of a read, in bytes.
const BYTES: u64 = 1 << 20;

/// Maximum size of a read, in bytes.
pub(super) const MOST_BYTES: u64 = 16 * BYTES;

/// Bytes of collected rows from which only the rows needed next are read.
const ENOUGH: usize = 32 << 20;

/// Limits of collected bytes and of awaited rows. Beyond them the table is unfit: its rows are too far out of order.
const TOO_MUCH: usize = 64 << 20;
const TOO_FAR: u64 = 1 << 20;

/// Collects the rows of one snapshot.
#[derive(Default)]
pub(super) struct RowCollector {
    state: Mutex<CollectorState>,
    changed: Notify,
}

/// The next step for the rows of a window.
pub(super) enum NextRead<'a> {
    /// All of them have arrived: their cells, in order.
    Take(Vec<Bytes>),
    /// Read these pages.
    Read(PageRead<'a>),
    /// The rows cannot be collected.
    Unfit,
}

/// A read of pages. If it is dropped before [`PageRead::give`], collecting ends.
pub(super) struct PageRead<'a> {
    collector: &'a RowCollector,
    pages: Range<u64>,
}

#[derive(Default)]
struct CollectorState {
    /// Pages not read yet. None until they are known.
    left: Option<Range<u64>>,
    /// Number of pages of the next read.
    span: u64,
    reading: usize,
    unfit: bool,
    rows: CollectedRows,
}

/// Rows by number.
#[derive(Default)]
struct CollectedRows {
    /// Number before the first row. None until the first window is known.
    before: Option<u64>,
    /// The rows after `before`, in order. None for a row that has not arrived.
    buffered: VecDeque<Option<Bytes>>,
    /// Number of rows from the first one that have all arrived.
    complete: usize,
    bytes: usize,
}

impl RowCollector {
    /// Starts collecting at the window, unless collecting has started. Call it in the order of the windows.
    pub(super) fn begin(&self, window: RowWindow) {
        self.state().rows.before.get_or_insert(window.after);
    }

    /// Returns true if the pages are still unknown.
    pub(super) fn lacks_pages(&self) -> bool {
        self.state().left.is_none()
    }

    /// Sets the pages, unless they are known.
    pub(super) fn found(&self, pages: Range<u64>) {
        let mut state = self.state();
        if state.left.is_none() {
            (state.left, state.span) = (Some(pages), FIRST);
        }
    }

    /// Waits for the next step for the window.
    pub(super) async fn next(&self, window: RowWindow) -> NextRead<'_> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let step = self.state().next(window);
            match step {
                Some(CollectorStep::Take(rows)) => return NextRead::Take(rows),
                Some(CollectorStep::Read(pages)) => return NextRead::Read(PageRead { collector: self, pages }),
                Some(CollectorStep::Unfit) => return NextRead::Unfit,
                None => changed.await,
            }
        }
    }

    /// Releases rows that were taken.
    pub(super) fn release(&self, window: RowWindow) {
        self.state().rows.release(window);
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, CollectorState> {
        lock(&self.state)
    }
}

impl PageRead<'_> {
    pub(super) fn pages(&self) -> &Range<u64> {
        &self.pages
    }

    /// Adds the rows of the pages, each with its number. `last` is the last number of the snapshot.
    pub(super) fn give(mut self, rows: Vec<(u64, Bytes)>, last: u64) {
        let pages = std::mem::take(&mut self.pages);
        self.collector.state().add_pages(&pages, rows, last);
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
        self.collector.changed.notify_waiters();
    }
}

/// See [`NextRead`].
enum CollectorStep {
    Take(Vec<Bytes>),
    Read(Range<u64>),
    Unfit,
}

impl CollectorState {
    /// Returns None if the window waits for the rows of other reads.
    fn next(&mut self, window: RowWindow) -> Option<CollectorStep> {
        let (false, Some(left)) = (self.unfit, &mut self.left) else { return Some(CollectorStep::Unfit) };
        let Some(has_gap) = self.rows.has_gap(window) else { return Some(CollectorStep::Unfit) };
        if let Some(rows) = self.rows.rows_of(window) {
            return Some(CollectorStep::Take(rows));
        }
        if left.is_empty() {
            return (self.reading == 0).then_some(CollectorStep::Unfit);
        }
        if has_gap && self.rows.bytes >= ENOUGH {
            return None;
        }
        let end = left.start.saturating_add(self.span).min(left.end);
        self.reading += 1;
        Some(CollectorStep::Read(std::mem::replace(&mut left.start, end)..end))
    }

    fn add_pages(&mut self, pages: &Range<u64>, rows: Vec<(u64, Bytes)>, last: u64) {
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
    /// Returns true if rows before the window are missing. None if the rows of the window were released.
    fn has_gap(&self, window: RowWindow) -> Option<bool> {
        let before = self.before.filter(|before| *before <= window.after)?;
        Some(before + (self.complete as u64) < window.after)
    }

    /// Returns the rows of the window if all have arrived.
    fn rows_of(&self, window: RowWindow) -> Option<Vec<Bytes>> {
        let before = self.before?;
        let (from, to) = ((window.after - before) as usize, (window.last - before) as usize);
        (to <= self.complete).then(|| self.buffered.range(from..to).flatten().cloned().collect())
    }

    /// Adds a row. Returns false if it arrived before, or is too far ahead.
    fn add(&mut self, (number, cells): (u64, Bytes)) -> bool {
        let Some(index) = number.checked_sub(self.before.unwrap_or_default() + 1) else { return true };
        if index >= TOO_FAR {
            return false;
        }
        let index = index as usize;
        if index >= self.buffered.len() {
            self.buffered.resize(index + 1, None);
        }
        self.bytes += cells.len();
        let first = index >= self.complete && self.buffered[index].replace(cells).is_none();
        while self.buffered.get(self.complete).is_some_and(Option::is_some) {
            self.complete += 1;
        }
        first
    }

    fn release(&mut self, window: RowWindow) {
        let Some(before) = self.before.filter(|before| *before <= window.after) else { return };
        let (from, to) = ((window.after - before) as usize, (window.last - before) as usize);
        for row in self.buffered.range_mut(from..to.min(self.complete)) {
            self.bytes -= row.take().map_or(0, |cells| cells.len());
        }
        let gone = self.buffered.iter().take(self.complete).take_while(|row| row.is_none()).count();
        self.buffered.drain(..gone);
        self.complete -= gone;
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
            NextRead::Read(_) | NextRead::Unfit => panic!("rows were to be taken"),
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
        assert!(is_unfit(&collector, window(10, 12)).await, "released");
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
