//! Infers column types from a sample, so that no text loses its meaning.
//!
//! These stay TEXT: leading zeros, telephone numbers, numbers with more digits than 64 bits hold, exponents, and words for
//! booleans other than true and false.

use crate::datasets::ColumnType;

/// Maximum number of rows in a sample.
pub const SAMPLE_ROWS: usize = 10_000;
/// Size at which a sample ends, in bytes.
pub const SAMPLE_BYTES: usize = 4 << 20;

/// Maximum number of digits that an integer of 64 bits always holds, and that a floating-point number does.
const INTEGER_DIGITS: usize = 18;
const REAL_DIGITS: usize = 15;

/// Types that the cells of one column allow. Starts with all types; each cell removes some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeInference {
    /// Types that fit every cell so far, the narrowest first.
    candidates: Vec<ColumnType>,
    seen: bool,
}

impl Default for TypeInference {
    fn default() -> TypeInference {
        use ColumnType::{Boolean, Date, Integer, Real, Timestamp};
        TypeInference { candidates: vec![Boolean, Integer, Real, Date, Timestamp], seen: false }
    }
}

impl TypeInference {
    /// Removes the types that a cell does not fit. An empty cell fits all.
    pub fn observe(&mut self, text: &str) {
        if !text.is_empty() {
            self.seen = true;
            self.candidates.retain(|kind| fits(*kind, text));
        }
    }

    /// Returns the inferred type. TEXT if no other type fits every cell, or all cells are empty.
    pub fn column_type(&self) -> ColumnType {
        self.candidates.first().copied().filter(|_| self.seen).unwrap_or_default()
    }
}

fn fits(kind: ColumnType, text: &str) -> bool {
    match kind {
        ColumnType::Text => true,
        ColumnType::Integer => integer_digits(text).is_some_and(|digits| digits <= INTEGER_DIGITS),
        ColumnType::Real => real_digits(text).is_some_and(|digits| digits <= REAL_DIGITS),
        ColumnType::Boolean => ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(text)),
        ColumnType::Date => is_trimmed(text) && kind.canonical(text).is_ok(),
        ColumnType::Timestamp => is_trimmed(text) && text.len() > "2026-01-31".len() && kind.canonical(text).is_ok(),
    }
}

fn is_trimmed(text: &str) -> bool {
    text.trim() == text
}

/// Returns the number of digits of an integer. None if the text is not one, or has leading zeros.
fn integer_digits(text: &str) -> Option<usize> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let natural = digits == "0" && text == digits || !digits.starts_with('0');
    (plain && natural).then_some(digits.len())
}

/// Returns the number of digits of a decimal number. None if the text is not one.
fn real_digits(text: &str) -> Option<usize> {
    let Some((whole, fraction)) = text.split_once('.') else { return integer_digits(text) };
    let whole = integer_digits(if whole == "-0" { "0" } else { whole })?;
    let plain = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some(whole + fraction.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(cells: &[&str]) -> ColumnType {
        let mut inference = TypeInference::default();
        cells.iter().for_each(|cell| inference.observe(cell));
        inference.column_type()
    }

    #[test]
    fn a_type_is_inferred_if_every_cell_fits_it() {
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
            assert_eq!(inferred(cells), kind, "{cells:?}");
        }
    }
}
