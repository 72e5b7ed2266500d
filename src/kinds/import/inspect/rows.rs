//! Splits the first records of a text by some delimiter.

use super::super::spec::CsvFormat;

/// Number of records that a delimiter is judged by, with the header.
pub const SAMPLE_RECORDS: usize = 20;

/// Delimiter, quote and escape of a CSV text.
#[derive(Clone, Copy, Debug)]
pub struct CsvDialect {
    /// Field delimiter.
    pub delimiter: u8,
    /// Quote character.
    pub quote: u8,
    /// Escape character before a quote in a quoted field. None: such a quote is doubled.
    pub escape: Option<u8>,
}

impl CsvDialect {
    /// The dialect of a format.
    pub fn of(format: &CsvFormat) -> CsvDialect {
        CsvDialect { delimiter: format.delimiter, quote: format.quote, escape: None }
    }
}

/// Record of a sample.
#[derive(Debug)]
pub struct SampleRow<'a> {
    /// Line at which it begins, from 1.
    pub line: usize,
    /// Raw fields, with their quotes.
    pub fields: Vec<&'a [u8]>,
    /// Quotes conform to RFC 4180: only around fields, and doubled in them.
    pub proper: bool,
}

/// Returns the first `most` records of a text. Leaves out a last record that is truncated (if the text is not `complete`), and one
/// with an open quote.
pub fn split<'a>(text: &'a [u8], complete: bool, dialect: &CsvDialect, most: usize) -> Vec<SampleRow<'a>> {
    let mut scan = SampleScanner { text, complete, dialect: *dialect, at: 0, line: 1 };
    std::iter::from_fn(|| scan.row()).take(most).collect()
}

/// Returns true if all records have the same number of fields, at least two.
pub fn are_even(rows: &[SampleRow<'_>]) -> bool {
    let fields = rows.first().map_or(0, |row| row.fields.len());
    fields > 1 && rows.iter().all(|row| row.fields.len() == fields)
}

/// Returns true if the records are even and conform to RFC 4180.
pub fn is_clean(rows: &[SampleRow<'_>]) -> bool {
    are_even(rows) && rows.iter().all(|row| row.proper)
}

/// Returns the field without the quotes around it.
pub fn unquoted(field: &[u8], quote: u8) -> &[u8] {
    field.strip_prefix(&[quote]).and_then(|field| field.strip_suffix(&[quote])).unwrap_or(field)
}

struct SampleScanner<'a> {
    text: &'a [u8],
    complete: bool,
    dialect: CsvDialect,
    at: usize,
    line: usize,
}

impl<'a> SampleScanner<'a> {
    fn row(&mut self) -> Option<SampleRow<'a>> {
        while let Some(byte @ (b'\r' | b'\n')) = self.next_byte() {
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
        self.next_byte()?;
        let mut row = SampleRow { line: self.line, fields: Vec::new(), proper: true };
        loop {
            let start = self.at;
            row.proper &= self.field()?;
            row.fields.push(&self.text[start..self.at]);
            match self.next_byte() {
                Some(byte) if byte == self.dialect.delimiter => self.at += 1,
                Some(_) => return Some(row),
                None => return self.complete.then_some(row),
            }
        }
    }

    /// Skips a field. Returns true if its quotes conform to RFC 4180, and None if a quote is not closed.
    fn field(&mut self) -> Option<bool> {
        let mut proper = true;
        if self.next_byte() == Some(self.dialect.quote) {
            self.quoted()?;
            proper = self.next_byte().is_none_or(|byte| self.ends_field(byte));
        }
        while let Some(byte) = self.next_byte().filter(|byte| !self.ends_field(*byte)) {
            proper &= byte != self.dialect.quote;
            self.at += 1;
        }
        Some(proper)
    }

    /// Skips a quoted field, to its closing quote.
    fn quoted(&mut self) -> Option<()> {
        let CsvDialect { quote, escape, .. } = self.dialect;
        self.at += 1;
        loop {
            let byte = self.next_byte()?;
            self.line += usize::from(byte == b'\n');
            let follows = self.text.get(self.at + 1).copied();
            let escaped = if escape.is_some() { Some(byte) == escape } else { byte == quote && follows == Some(quote) };
            if !escaped && byte == quote {
                self.at += 1;
                return Some(());
            }
            self.at += if escaped { 2 } else { 1 };
        }
    }

    fn ends_field(&self, byte: u8) -> bool {
        byte == self.dialect.delimiter || matches!(byte, b'\r' | b'\n')
    }

    fn next_byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}
