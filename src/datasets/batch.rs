//! Rows in one flat buffer: a batch is filled and written without an allocation for each cell.

use std::ops::Range;

use super::{CELL_BYTES, PAGE_BYTES};

/// Follows each cell, so that a complete row can be sent in the format of COPY.
pub(super) const SEPARATOR: char = '\t';

/// Rows of a fixed width: cells as text or null. Reusable after [`Batch::clear`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    width: usize,
    rows: usize,
    /// Text of all cells, with [`SEPARATOR`] after each.
    data: String,
    /// End of each cell in `data`.
    ends: Vec<usize>,
    nulls: Vec<bool>,
}

/// A row with more or fewer cells than the width of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row has {found} cells, expected {expected}")]
pub struct WrongWidth {
    /// Width of the batch.
    pub expected: usize,
    /// Cells of the row.
    pub found: usize,
}

impl Batch {
    /// Returns an empty batch for rows of `width` cells.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Removes all rows and keeps the allocated memory.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.data.clear();
        self.ends.clear();
        self.nulls.clear();
    }

    /// Adds a row. A row of another width is refused and leaves the batch unchanged.
    pub fn push_row<'a>(&mut self, cells: impl IntoIterator<Item = Option<&'a str>>) -> Result<(), WrongWidth> {
        self.try_push_row(cells.into_iter().map(Ok))
    }

    /// Adds a row. A cell that is an error, or a row of another width, leaves the batch unchanged.
    pub fn try_push_row<T: AsRef<str>, E: From<WrongWidth>>(
        &mut self,
        cells: impl IntoIterator<Item = Result<Option<T>, E>>,
    ) -> Result<(), E> {
        let (start, bytes) = (self.ends.len(), self.data.len());
        let pushed = cells.into_iter().try_for_each(|cell| cell.map(|cell| self.push_cell(cell.as_ref())));
        let found = self.ends.len() - start;
        let refused = match pushed {
            Ok(()) if found == self.width => {
                self.rows += 1;
                return Ok(());
            }
            Ok(()) => WrongWidth { expected: self.width, found }.into(),
            Err(error) => error,
        };
        self.data.truncate(bytes);
        self.ends.truncate(start);
        self.nulls.truncate(start);
        Err(refused)
    }

    #[inline]
    fn push_cell(&mut self, cell: Option<&impl AsRef<str>>) {
        self.data.push_str(cell.map(AsRef::as_ref).unwrap_or_default());
        self.ends.push(self.data.len());
        self.data.push(SEPARATOR);
        self.nulls.push(cell.is_none());
    }

    /// Adds a row if the batch is empty or stays within [`PAGE_BYTES`]. Returns true if it was added.
    pub fn push_within_page(&mut self, cells: &[Option<&str>]) -> Result<bool, WrongWidth> {
        let text: usize = cells.iter().flatten().map(|cell| cell.len()).sum();
        let bytes = self.bytes() + text + CELL_BYTES * (self.ends.len() + cells.len());
        if self.rows > 0 && bytes > PAGE_BYTES {
            return Ok(false);
        }
        self.push_row(cells.iter().copied()).map(|()| true)
    }

    /// Removes the row at index `row`, such as one that the database refused. An index beyond the end changes nothing.
    pub fn remove_row(&mut self, row: usize) {
        if row >= self.rows {
            return;
        }
        let cells = row * self.width..(row + 1) * self.width;
        let bytes = self.start(cells.start)..self.start(cells.end);
        for end in &mut self.ends[cells.end..] {
            *end -= bytes.len();
        }
        self.data.replace_range(bytes, "");
        self.ends.drain(cells.clone());
        self.nulls.drain(cells);
        self.rows -= 1;
    }

    /// Keeps the first `rows` rows, and returns the others.
    pub fn split_off(&mut self, rows: usize) -> Batch {
        let cells = (rows * self.width).min(self.ends.len());
        let bytes = self.start(cells);
        let mut ends = self.ends.split_off(cells);
        ends.iter_mut().for_each(|end| *end -= bytes);
        let rest = self.rows.saturating_sub(rows);
        self.rows -= rest;
        Batch {
            width: self.width,
            rows: rest,
            data: self.data.split_off(bytes),
            ends,
            nulls: self.nulls.split_off(cells),
        }
    }

    /// Returns the rows in reverse order.
    pub(super) fn reversed(&self) -> Batch {
        let mut reversed = Batch { width: self.width, ..Batch::default() };
        for row in (0..self.rows).rev() {
            self.cells(row * self.width..(row + 1) * self.width).for_each(|cell| reversed.push_cell(cell.as_ref()));
        }
        Batch { rows: self.rows, ..reversed }
    }

    /// Returns the number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns true if there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the number of cells per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the size of the text of all cells, in bytes.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.data.len() - self.ends.len()
    }

    /// Returns the text of all cells, with [`SEPARATOR`] after each.
    #[inline]
    pub(super) fn text(&self) -> &str {
        &self.data
    }

    /// Returns the rows in order.
    #[inline]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = BatchRow<'_>> {
        (0..self.rows).map(|row| self.cells(row * self.width..(row + 1) * self.width))
    }

    #[inline]
    fn cells(&self, cells: Range<usize>) -> BatchRow<'_> {
        BatchRow { start: self.start(cells.start), batch: self, cells }
    }

    #[inline]
    fn start(&self, cell: usize) -> usize {
        if cell == 0 { 0 } else { self.ends[cell - 1] + SEPARATOR.len_utf8() }
    }
}

/// The cells of a row in order. `None` for a null cell.
#[derive(Clone, Debug)]
pub struct BatchRow<'a> {
    batch: &'a Batch,
    cells: Range<usize>,
    start: usize,
}

impl<'a> BatchRow<'a> {
    /// Returns the cells that are left with [`SEPARATOR`] between them. None if one of them is null, or none is left.
    #[inline]
    pub(super) fn joined(&self) -> Option<&'a str> {
        let last = *self.batch.ends.get(self.cells.clone())?.last()?;
        let null = self.batch.nulls[self.cells.clone()].contains(&true);
        (!null).then(|| &self.batch.data[self.start..last])
    }
}

impl<'a> Iterator for BatchRow<'a> {
    type Item = Option<&'a str>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let cell = self.cells.next()?;
        let end = self.batch.ends[cell];
        let text = &self.batch.data[self.start..end];
        self.start = end + SEPARATOR.len_utf8();
        Some((!self.batch.nulls[cell]).then_some(text))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.cells.size_hint()
    }
}

impl ExactSizeIterator for BatchRow<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Batch {
        let mut batch = Batch::new(2);
        batch.push_row([Some("a"), None]).unwrap();
        batch.push_row([Some(""), Some("é\n")]).unwrap();
        batch.push_row([None, Some("z")]).unwrap();
        batch
    }

    fn cells(batch: &Batch) -> Vec<Vec<Option<&str>>> {
        batch.rows().map(Iterator::collect).collect()
    }

    #[test]
    fn empty_is_not_null() {
        let batch = three();
        assert_eq!((batch.len(), batch.bytes(), batch.width()), (3, 5, 2));
        let expected = [[Some("a"), None], [Some(""), Some("é\n")], [None, Some("z")]];
        assert_eq!(cells(&batch), expected);
    }

    #[test]
    fn a_row_is_joined_unless_a_cell_is_null() {
        let batch = three();
        let joined: Vec<_> = batch.rows().map(|row| row.joined()).collect();
        assert_eq!(joined, [None, Some("\té\n"), None]);
        let mut row = batch.rows().next().unwrap();
        assert_eq!((row.next(), row.next(), row.joined()), (Some(Some("a")), Some(None), None));
    }

    #[test]
    fn a_row_of_another_width_is_refused() {
        let mut batch = three();
        let refused = batch.push_row([Some("only")]).unwrap_err();
        assert_eq!(refused, WrongWidth { expected: 2, found: 1 });
        assert_eq!(batch, three());
    }

    #[test]
    fn a_row_can_be_removed() {
        let mut batch = three();
        batch.remove_row(1);
        batch.remove_row(7);
        assert_eq!(cells(&batch), [[Some("a"), None], [None, Some("z")]]);
        batch.remove_row(0);
        batch.push_row([Some("b"), Some("c")]).unwrap();
        assert_eq!(cells(&batch), [[None, Some("z")], [Some("b"), Some("c")]]);
    }

    #[test]
    fn a_batch_is_split_anywhere() {
        for rows in 0..=4 {
            let mut first = three();
            let rest = first.split_off(rows);
            assert_eq!((first.len(), rest.len()), (rows.min(3), 3 - rows.min(3)));
            assert_eq!([cells(&first), cells(&rest)].concat(), cells(&three()), "{rows}");
            first.push_row([Some("b"), None]).unwrap();
            assert_eq!(cells(&first).pop().unwrap(), [Some("b"), None]);
        }
    }

    #[test]
    fn rows_can_be_reversed() {
        let reversed = three().reversed();
        assert_eq!(cells(&reversed), [[None, Some("z")], [Some(""), Some("é\n")], [Some("a"), None]]);
        assert_eq!(reversed.reversed(), three());
    }

    #[test]
    fn a_page_has_at_least_one_row_and_ends_before_its_limit() {
        let large = "x".repeat(3 * PAGE_BYTES / 4);
        let mut batch = Batch::new(1);
        assert_eq!(batch.push_within_page(&[Some(&large)]), Ok(true));
        assert_eq!(batch.push_within_page(&[Some(&large)]), Ok(false));
        assert_eq!(batch.push_within_page(&[Some("small")]), Ok(true));
        batch.clear();
        assert_eq!(batch.push_within_page(&[Some(&large.repeat(2))]), Ok(true));
        assert_eq!(batch.push_within_page(&[None]), Ok(false));
        let mut wide = Batch::new(1000);
        let pushed = (0..500).take_while(|_| wide.push_within_page(&[None; 1000]) == Ok(true)).count();
        assert_eq!(pushed, PAGE_BYTES / CELL_BYTES / 1000, "empty cells take memory too");
    }

    #[test]
    fn a_cleared_batch_equals_a_new_one() {
        let mut batch = three();
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(batch, Batch::new(2));
    }
}
