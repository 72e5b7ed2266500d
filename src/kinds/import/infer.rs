//! Guessing the types of columns from a sample, so that no text loses its meaning.
//!
//! What people write with care stays TEXT: leading zeros, telephone numbers, numbers with more digits than a number of
//! 64 bits holds, exponents, words for truth other than true and false.

use crate::datasets::ColumnType;

/// The most rows of a sample, and the most bytes.
pub const SAMPLE_ROWS: usize = 10_000;
/// The bytes at which a sample ends.
pub const SAMPLE_BYTES: usize = 4 << 20;

/// Digits that a whole number of 64 bits always holds, and those that a real one does.
const INTEGER_DIGITS: usize = 18;
const REAL_DIGITS: usize = 15;

/// What the cells of one column allow. Begun by [`Guess::default`], narrowed by each cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// Types that every cell so far has, the narrowest first.
    left: Vec<ColumnType>,
    seen: bool,
}

impl Default for Guess {
    fn default() -> Guess {
        use ColumnType::{Boolean, Date, Integer, Real, Timestamp};
        Guess { left: vec![Boolean, Integer, Real, Date, Timestamp], seen: false }
    }
}

impl Guess {
    /// Takes a cell into account; an empty one says nothing.
    pub fn see(&mut self, text: &str) {
        if !text.is_empty() {
            self.seen = true;
            self.left.retain(|kind| is(*kind, text));
        }
    }

    /// The type: TEXT where nothing else fits every cell, or no cell said anything.
    pub fn kind(&self) -> ColumnType {
        self.left.first().copied().filter(|_| self.seen).unwrap_or_default()
    }
}

fn is(kind: ColumnType, text: &str) -> bool {
    match kind {
        ColumnType::Text => true,
        ColumnType::Integer => integer(text).is_some_and(|digits| digits <= INTEGER_DIGITS),
        ColumnType::Real => real(text).is_some_and(|digits| digits <= REAL_DIGITS),
        ColumnType::Boolean => ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(text)),
        ColumnType::Date => unblanked(text) && kind.canonical(text).is_ok(),
        ColumnType::Timestamp => unblanked(text) && text.len() > "2026-01-31".len() && kind.canonical(text).is_ok(),
    }
}

fn unblanked(text: &str) -> bool {
    text.trim() == text
}

/// The digits of a whole number that is written as numbers are.
fn integer(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let natural = digits == "0" && text == digits || !digits.starts_with('0');
    (plain && natural).then_some(digits.len())
}

/// The digits of a number with or without a fraction.
fn real(text: &str) -> Option<usize> {
    let Some((whole, fraction)) = text.split_once('.') else { return integer(text) };
    let whole = integer(if whole == "-0" { "0" } else { whole })?;
    let plain = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some(whole + fraction.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(cells: &[&str]) -> ColumnType {
        let mut guess = Guess::default();
        cells.iter().for_each(|cell| guess.see(cell));
        guess.kind()
    }

    #[test]
    fn types_are_taken_where_every_cell_fits() {
        let table: [(&[&str], ColumnType); 19] = [
            (&[], ColumnType::Text),
            (&["", ""], ColumnType::Text),
            (&["1", "", "-20", "0"], ColumnType::Integer),
            (&["1", "2.5"], ColumnType::Real),
            (&["19.90", "-0.5"], ColumnType::Real),
            (&["1", "x"], ColumnType::Text),
            (&["007", "8"], ColumnType::Text),
            (&["01.5"], ColumnType::Text),
            (&["+49 30 1234"], ColumnType::Text),
            (&["+5"], ColumnType::Text),
            (&["030-1234"], ColumnType::Text),
            (&["1234567890123456789"], ColumnType::Text),
            (&["1.2345678901234567"], ColumnType::Text),
            (&["1e5"], ColumnType::Text),
            (&["true", "FALSE"], ColumnType::Boolean),
            (&["true", "1"], ColumnType::Text),
            (&["2024-02-29", "2023-12-01"], ColumnType::Date),
            (&["2024-02-29T10:00:00Z", "2024-02-29 10:00"], ColumnType::Timestamp),
            (&["2024-02-29", "2024-02-30"], ColumnType::Text),
        ];
        for (cells, kind) in table {
            assert_eq!(guess(cells), kind, "{cells:?}");
        }
    }
}
