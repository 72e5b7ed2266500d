//! The first records of a text, as some delimiter splits them.

use super::super::spec::Format;

/// Number of records, the header among them, that a delimiter is judged by.
pub const FIRST: usize = 20;

/// How a text is split.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Between two fields.
    pub delimiter: u8,
    /// Around a field.
    pub quote: u8,
    /// Before a quote that is part of the field. Null: such a quote is doubled.
    pub escape: Option<u8>,
}

impl Dialect {
    /// The format's own.
    pub fn of(format: &Format) -> Dialect {
        Dialect { delimiter: format.delimiter, quote: format.quote, escape: None }
    }
}

/// A record.
#[derive(Debug)]
pub struct Row<'a> {
    /// The line, from 1, at which it begins.
    pub line: usize,
    /// The fields as they stand, with their quotes.
    pub fields: Vec<&'a [u8]>,
    /// Quotes stand only around fields and doubled in them, as RFC 4180 says.
    pub proper: bool,
}

/// The first `most` records of a text. A record that a text which is not `complete` cuts off is left out, and so is one whose
/// quote is not closed.
pub fn split<'a>(text: &'a [u8], complete: bool, dialect: &Dialect, most: usize) -> Vec<Row<'a>> {
    let mut scan = Scan { text, complete, dialect: *dialect, at: 0, line: 1 };
    std::iter::from_fn(|| scan.row()).take(most).collect()
}

/// Each record has the same number of fields, at least two.
pub fn are_even(rows: &[Row<'_>]) -> bool {
    let fields = rows.first().map_or(0, |row| row.fields.len());
    fields > 1 && rows.iter().all(|row| row.fields.len() == fields)
}

/// The records are what a program that writes CSV makes of two or more columns.
pub fn is_clean(rows: &[Row<'_>]) -> bool {
    are_even(rows) && rows.iter().all(|row| row.proper)
}

/// A field's text, without quotes around it.
pub fn unquoted(field: &[u8], quote: u8) -> &[u8] {
    field.strip_prefix(&[quote]).and_then(|field| field.strip_suffix(&[quote])).unwrap_or(field)
}

struct Scan<'a> {
    text: &'a [u8],
    complete: bool,
    dialect: Dialect,
    at: usize,
    line: usize,
}

impl<'a> Scan<'a> {
    fn row(&mut self) -> Option<Row<'a>> {
        while let Some(byte @ (b'\r' | b'\n')) = self.next_byte() {
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
        self.next_byte()?;
        let mut row = Row { line: self.line, fields: Vec::new(), proper: true };
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

    /// Passes over a field, and answers whether its quotes are proper. None if a quote is not closed.
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

    /// Passes over a quote and all to the one that closes it.
    fn quoted(&mut self) -> Option<()> {
        let Dialect { quote, escape, .. } = self.dialect;
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
