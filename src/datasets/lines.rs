//! Rows as CSV lines (RFC 4180): they end in CRLF, cells are quoted only if needed, null is an empty cell.

use super::Column;

/// CSV lines, built cell by cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvLines {
    text: Vec<u8>,
    guard: bool,
    /// Start of the current row. `None` between two rows.
    row: Option<usize>,
}

impl CsvLines {
    /// Returns an empty text. With `guard`, a `'` precedes cells that a spreadsheet would run as formulas.
    pub fn new(guard: bool) -> CsvLines {
        CsvLines { guard, ..CsvLines::default() }
    }

    /// Returns the header line.
    pub fn header(columns: &[&Column], guard: bool) -> Vec<u8> {
        let mut lines = CsvLines::new(guard);
        columns.iter().for_each(|column| lines.cell(Some(column.name.as_bytes())));
        lines.end_row();
        lines.text
    }

    /// Returns the size of all lines, in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Returns true if there is no line.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the text of all lines.
    pub fn into_bytes(self) -> Vec<u8> {
        self.text
    }

    /// Adds a cell to the current row.
    pub(super) fn cell(&mut self, cell: Option<&[u8]>) {
        match self.row {
            Some(_) => self.text.push(b','),
            None => self.row = Some(self.text.len()),
        }
        let Some(cell) = cell else { return };
        let guarded = self.guard && is_formula(cell);
        if cell.iter().any(|byte| SPECIAL[usize::from(*byte)]) {
            self.quote(cell, guarded);
        } else {
            if guarded {
                self.text.push(b'\'');
            }
            self.text.extend_from_slice(cell);
        }
    }

    /// Ends the row. A single empty cell is quoted, so that its line is not empty.
    pub(super) fn end_row(&mut self) {
        if self.row.take() == Some(self.text.len()) {
            self.text.extend_from_slice(b"\"\"");
        }
        self.text.extend_from_slice(b"\r\n");
    }

    /// Adds a row of tab-separated cells without null, comma, quote or line end. Returns false, and adds nothing, if
    /// formulas are guarded or the row is empty.
    pub(super) fn plain_row(&mut self, cells: &[u8]) -> bool {
        if self.guard || cells.is_empty() {
            return false;
        }
        let start = self.text.len();
        self.text.extend(cells.iter().map(|byte| if *byte == b'\t' { b',' } else { *byte }));
        debug_assert!(self.row.is_none() && self.text.len() > start);
        self.text.extend_from_slice(b"\r\n");
        true
    }

    fn quote(&mut self, cell: &[u8], guarded: bool) {
        self.text.push(b'"');
        if guarded {
            self.text.push(b'\'');
        }
        for part in cell.split_inclusive(|byte| *byte == b'"') {
            self.text.extend_from_slice(part);
            if part.ends_with(b"\"") {
                self.text.push(b'"');
            }
        }
        self.text.push(b'"');
    }
}

/// Bytes that need quotes.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    special[b',' as usize] = true;
    special[b'"' as usize] = true;
    special[b'\r' as usize] = true;
    special[b'\n' as usize] = true;
    special
};

/// Returns true if a spreadsheet would run a cell as a formula (OWASP, CSV Injection). A signed number is not a
/// formula.
fn is_formula(cell: &[u8]) -> bool {
    match cell.split_first() {
        Some((b'+' | b'-', number)) => !is_number(number),
        Some((b'=' | b'@' | b'\t' | b'\r', _)) => true,
        _ => false,
    }
}

/// Returns true if a text is digits, optionally with a fraction and an exponent.
fn is_number(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let digits = text.first().is_some_and(|first| first.is_ascii_digit() || *first == b'.');
    digits && text.iter().all(plain) && std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(cells: &[Option<&str>], guard: bool) -> String {
        let mut lines = CsvLines::new(guard);
        cells.iter().for_each(|cell| lines.cell(cell.map(str::as_bytes)));
        lines.end_row();
        String::from_utf8(lines.into_bytes()).unwrap()
    }

    #[test]
    fn cells_are_quoted_only_if_needed() {
        assert_eq!(line(&[Some("plain"), Some("a \"quote\"")], false), "plain,\"a \"\"quote\"\"\"\r\n");
        assert_eq!(line(&[Some("a,b"), Some("two\r\nlines")], false), "\"a,b\",\"two\r\nlines\"\r\n");
        assert_eq!(line(&[None, Some("")], false), ",\r\n");
        assert_eq!(line(&[None, Some("é")], false), ",é\r\n");
    }

    #[test]
    fn a_single_empty_cell_is_quoted() {
        assert_eq!(line(&[Some("")], false), "\"\"\r\n");
        assert_eq!(line(&[None], false), "\"\"\r\n");
    }

    #[test]
    fn formulas_are_guarded_and_numbers_are_not() {
        for formula in ["=1+1", "+A1", "-A1", "-", "--5", "+-5", "@SUM(A1)", "\tx", "-inf", "-1e", "+1 2"] {
            assert_eq!(line(&[Some(formula)], true), format!("'{formula}\r\n"), "{formula}");
            assert_eq!(line(&[Some(formula)], false), format!("{formula}\r\n"));
        }
        for number in ["-5", "+3.2", "-.5", "-1e300", "+1E-7", "a=b", "", "'x", "12"] {
            let plain = if number.is_empty() { "\"\"\r\n".to_owned() } else { format!("{number}\r\n") };
            assert_eq!(line(&[Some(number)], true), plain);
        }
        assert_eq!(line(&[Some("=a,b"), Some("\rx")], true), "\"'=a,b\",\"'\rx\"\r\n");
    }

    #[test]
    fn it_writes_what_the_csv_crate_writes() {
        let cells = ["", "a", "a b", " a", "a\"", "\"", "\"\"", ",", "\n", "\r", "a\tb", "é,", "#x", "\\", "'"];
        for one in cells {
            for two in cells {
                let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
                writer.write_record([one, two]).unwrap();
                let expected = String::from_utf8(writer.into_inner().unwrap()).unwrap();
                assert_eq!(line(&[Some(one), Some(two)], false), expected);
            }
        }
    }
}
