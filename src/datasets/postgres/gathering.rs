//! Rows that are read as they lie, page after page, and held until those before them have come: writes of an import lie
//! between each other, so each page is read once only, and the server sorts nothing.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::super::Window;

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
pub(super) struct Gather {
    state: Mutex<State>,
    news: Notify,
}

/// What is to be done for the rows of a window.
pub(super) enum Next<'a> {
    /// All of them have come: their cells, in order.
    Take(Vec<Bytes>),
    /// These pages are to be read.
    Read(Reading<'a>),
    /// They do not come this way.
    Unfit,
}

/// Pages that are being read. Dropped before their rows were given, they end the gathering.
pub(super) struct Reading<'a> {
    gather: &'a Gather,
    pages: Range<u64>,
}

#[derive(Default)]
struct State {
    /// None before the first pages are known.
    left: Option<Range<u64>>,
    /// Pages of the next read.
    span: u64,
    reading: usize,
    unfit: bool,
    rows: Rows,
}

/// Rows by their numbers.
#[derive(Default)]
struct Rows {
    /// None before the first window is known.
    before: Option<u64>,
    /// The row behind `before` and those behind it, where they are held.
    held: VecDeque<Option<Bytes>>,
    /// All of the first so many have come.
    come: usize,
    bytes: usize,
}

impl Gather {
    /// Gathers from the window on, unless it gathers already. To be called in the order of the windows.
    pub(super) fn begin(&self, window: Window) {
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
    pub(super) async fn next(&self, window: Window) -> Next<'_> {
        loop {
            let mut news = pin!(self.news.notified());
            news.as_mut().enable();
            let step = self.state().next(window);
            match step {
                Some(Step::Take(rows)) => return Next::Take(rows),
                Some(Step::Read(pages)) => return Next::Read(Reading { gather: self, pages }),
                Some(Step::Unfit) => return Next::Unfit,
                None => news.await,
            }
        }
    }

    /// Lets go of rows that were taken.
    pub(super) fn release(&self, window: Window) {
        self.state().rows.release(window);
        self.news.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading<'_> {
    pub(super) fn pages(&self) -> &Range<u64> {
        &self.pages
    }

    /// Gives the rows of the pages, each with its number, of a snapshot that ends with number `last`.
    pub(super) fn give(mut self, rows: Vec<(u64, Bytes)>, last: u64) {
        let pages = std::mem::take(&mut self.pages);
        self.gather.state().came(&pages, rows, last);
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut state = self.gather.state();
        state.reading -= 1;
        if !self.pages.is_empty() {
            state.give_up();
        }
        drop(state);
        self.gather.news.notify_waiters();
    }
}

/// See [`Next`].
enum Step {
    Take(Vec<Bytes>),
    Read(Range<u64>),
    Unfit,
}

impl State {
    /// None where others' rows are to be waited for.
    fn next(&mut self, window: Window) -> Option<Step> {
        let (false, Some(left)) = (self.unfit, &mut self.left) else { return Some(Step::Unfit) };
        let Some(waits) = self.rows.waits(window) else { return Some(Step::Unfit) };
        if let Some(rows) = self.rows.whole(window) {
            return Some(Step::Take(rows));
        }
        if left.is_empty() {
            return (self.reading == 0).then_some(Step::Unfit);
        }
        if waits && self.rows.bytes >= ENOUGH {
            return None;
        }
        let end = left.start.saturating_add(self.span).min(left.end);
        self.reading += 1;
        Some(Step::Read(std::mem::replace(&mut left.start, end)..end))
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
        self.rows = Rows::default();
    }
}

impl Rows {
    /// Whether other rows come before those of the window; none where they were let go.
    fn waits(&self, window: Window) -> Option<bool> {
        let before = self.before.filter(|before| *before <= window.after)?;
        Some(before + (self.come as u64) < window.after)
    }

    /// The rows of the window, if they have all come.
    fn whole(&self, window: Window) -> Option<Vec<Bytes>> {
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

    fn release(&mut self, window: Window) {
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

    const ALL: Window = Window { after: 10, last: 16 };

    fn gather() -> Gather {
        let gather = Gather::default();
        gather.begin(ALL);
        gather.found(0..4 * FIRST);
        gather
    }

    fn rows(numbers: &[u64]) -> Vec<(u64, Bytes)> {
        numbers.iter().map(|number| (*number, number.to_string().into())).collect()
    }

    fn window(after: u64, last: u64) -> Window {
        Window { after, last }
    }

    async fn reading(gather: &Gather, window: Window) -> Reading<'_> {
        match gather.next(window).await {
            Next::Read(reading) => reading,
            Next::Take(_) | Next::Unfit => panic!("pages were to be read"),
        }
    }

    async fn taken(gather: &Gather, window: Window) -> Vec<Bytes> {
        match gather.next(window).await {
            Next::Take(rows) => rows,
            Next::Read(_) | Next::Unfit => panic!("rows had come"),
        }
    }

    async fn is_unfit(gather: &Gather, window: Window) -> bool {
        matches!(gather.next(window).await, Next::Unfit)
    }

    #[tokio::test]
    async fn rows_wait_for_those_before_them() {
        let gather = gather();
        let (one, two) = (reading(&gather, window(10, 12)).await, reading(&gather, window(12, 14)).await);
        assert_eq!((one.pages().clone(), two.pages().clone()), (0..FIRST, FIRST..2 * FIRST));
        two.give(rows(&[9, 13, 14, 11, 17]), 16);
        one.give(rows(&[15, 12]), 16);
        assert_eq!(taken(&gather, window(10, 12)).await, ["11", "12"]);
        assert_eq!(taken(&gather, window(12, 15)).await, ["13", "14", "15"]);
        gather.release(window(12, 14));
        gather.release(window(10, 12));
        assert_eq!(taken(&gather, window(14, 15)).await, ["15"], "a page may leave rows of its window");
        assert!(is_unfit(&gather, window(10, 12)).await, "let go of");
        reading(&gather, window(14, 16)).await.give(rows(&[16]), 16);
        gather.release(window(14, 15));
        assert_eq!(taken(&gather, window(15, 16)).await, ["16"]);
        assert_eq!(gather.state().rows.bytes, 2);
    }

    #[tokio::test]
    async fn what_is_read_by_another_is_waited_for() {
        let gather = gather();
        let mut pages = Vec::new();
        for _ in 0..4 {
            pages.push(reading(&gather, ALL).await);
        }
        let mut waiting = pin!(gather.next(ALL));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        pages.pop().unwrap().give(rows(&[11, 13, 15]), 16);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        pages.pop().unwrap().give(rows(&[12, 14, 16]), 16);
        assert!(matches!(waiting.await, Next::Take(rows) if rows.len() == 6));
    }

    #[tokio::test]
    async fn a_table_that_lacks_a_row_has_it_twice_or_has_it_far_away_is_not_gathered() {
        for odd in [&[11, 12, 13, 14, 16][..], &[11, 12, 12, 13, 14, 15, 16], &[11, TOO_FAR + 12]] {
            let gather = gather();
            gather.state().left = Some(0..FIRST);
            reading(&gather, ALL).await.give(rows(odd), u64::MAX);
            assert!(is_unfit(&gather, ALL).await, "{odd:?}");
        }
    }

    #[tokio::test]
    async fn a_read_that_fails_ends_it_for_all() {
        let gather = gather();
        let (one, two) = (reading(&gather, ALL).await, reading(&gather, ALL).await);
        drop(one);
        assert!(is_unfit(&gather, ALL).await);
        two.give(rows(&[11]), 16);
        assert!(is_unfit(&gather, ALL).await);
    }

    #[tokio::test]
    async fn reads_grow_to_their_size_and_hold_back_where_much_is_held() {
        let gather = gather();
        gather.state().left = Some(0..1000);
        let row = |number, bytes| vec![(number, Bytes::from(vec![b'x'; bytes]))];
        reading(&gather, ALL).await.give(row(11, 1024), 16);
        let grown = reading(&gather, ALL).await;
        assert_eq!(grown.pages(), &(FIRST..9 * FIRST));
        grown.give(row(14, ENOUGH), 16);
        assert!(futures_util::poll!(pin!(gather.next(window(12, 14)))).is_pending());
        let next = reading(&gather, window(11, 12)).await;
        assert_eq!(next.pages(), &(9 * FIRST..9 * FIRST + 2));
        next.give(row(12, TOO_MUCH), 16);
        assert!(is_unfit(&gather, ALL).await);
    }
}
