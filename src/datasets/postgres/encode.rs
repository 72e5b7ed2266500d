//! Encodes rows in the text format of COPY: one line per row, cells separated by tabs, a backslash before special
//! bytes.

use super::super::batch::SEPARATOR;
use super::super::{Batch, BatchRow};

/// Encodes rows as lines, as many as fit a buffer of a given size.
pub(super) struct CopyEncoder<R> {
    rows: R,
    number: Vec<u8>,
    plain: bool,
}

/// Encodes a batch whose rows are numbered from `before` + 1. If the whole text has only the special bytes that
/// separate its cells, no cell needs escaping, and rows are copied unchanged.
pub(super) fn encode(before: i64, batch: &Batch) -> CopyEncoder<impl Iterator<Item = BatchRow<'_>>> {
    let plain = count_special(batch.text().as_bytes()) == batch.len() * batch.width();
    CopyEncoder { rows: batch.rows(), number: before.to_string().into_bytes(), plain }
}

impl<'a, R: Iterator<Item = BatchRow<'a>>> CopyEncoder<R> {
    /// Fills the buffer with the next lines until it has `bytes`. Returns false if no line is left.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> bool {
        buffer.clear();
        while buffer.len() < bytes {
            let Some(cells) = self.rows.next() else { break };
            increment(&mut self.number);
            self.line(buffer, cells);
        }
        !buffer.is_empty()
    }

    fn line(&self, buffer: &mut Vec<u8>, cells: BatchRow<'_>) {
        buffer.extend_from_slice(&self.number);
        if let Some(row) = cells.joined().filter(|_| self.plain) {
            buffer.push(SEPARATOR as u8);
            buffer.extend_from_slice(row.as_bytes());
        } else {
            for cell in cells {
                buffer.push(SEPARATOR as u8);
                match cell {
                    Some(text) if self.plain => buffer.extend_from_slice(text.as_bytes()),
                    Some(text) => escape(buffer, text.as_bytes()),
                    None => buffer.extend_from_slice(b"\\N"),
                }
            }
        }
        buffer.push(b'\n');
    }
}

#[inline]
fn special(byte: u8) -> bool {
    matches!(byte, b'\\' | b'\n' | b'\r' | b'\t')
}

/// Counts the special bytes, in pieces whose count fits one byte. The compiler vectorizes these loops; it does not inline
/// `Iterator::sum` in incremental builds.
fn count_special(text: &[u8]) -> usize {
    let mut all = 0;
    for piece in text.chunks(usize::from(u8::MAX)) {
        let mut count = 0u8;
        for byte in piece {
            count += u8::from(special(*byte));
        }
        all += usize::from(count);
    }
    all
}

/// Adds one to a number in decimal digits.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

fn escape(buffer: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| special(*byte)) {
        buffer.extend_from_slice(&rest[..at]);
        buffer.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    buffer.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(before: i64, rows: &[[Option<&str>; 3]]) -> String {
        let mut batch = Batch::new(3);
        for row in rows {
            batch.push_row(*row).unwrap();
        }
        let (mut encoder, mut buffer, mut all) = (encode(before, &batch), Vec::new(), Vec::new());
        while encoder.fill(&mut buffer, 1) {
            all.extend_from_slice(&buffer);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn what_means_something_is_escaped() {
        assert_eq!(encoded(6, &[[Some("a\\N\tb\r\n"), None, Some("")]]), "7\ta\\\\N\\tb\\r\\n\t\\N\t\n");
    }

    #[test]
    fn rows_are_numbered_over_every_digit() {
        let rows = [[Some("a"), Some("é"), None]; 3];
        assert_eq!(encoded(98, &rows), "99\ta\té\t\\N\n100\ta\té\t\\N\n101\ta\té\t\\N\n");
        assert_eq!(encoded(0, &rows[..1]), "1\ta\té\t\\N\n");
        assert_eq!(encoded(1899, &rows[..1]), "1900\ta\té\t\\N\n");
    }
}
