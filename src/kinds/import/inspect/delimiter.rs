//! Detects the delimiter by the first records.
//!
//! Another delimiter is evident if it splits each of the first 20 records into the same number of fields, at least two, and the
//! configured one does not. With fewer than three records, the first must look like a header: free text with a semicolon is
//! not a table.

use super::super::spec::CsvFormat;
use super::rows::{self, CsvDialect, SampleRow};
use super::sample::FileSample;

/// Common delimiters with their names, the likeliest first.
const COMMON: [(u8, &str); 5] = [(b'\t', "tab"), (b';', "semicolon"), (b',', "comma"), (b'|', "pipe"), (b':', "colon")];

/// Maximum size of a name in a header that alone is evidence, in bytes.
const MAX_NAME: usize = 63;

/// A delimiter that splits the first records evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetectedDelimiter {
    delimiter: u8,
    records: usize,
    fields: usize,
}

/// Returns another delimiter that splits the first records evenly: the one with the most fields. `rows` are the records by the
/// format's own delimiter.
pub fn evident(sample: &FileSample, format: &CsvFormat, rows: &[SampleRow<'_>]) -> Option<DetectedDelimiter> {
    let header = rows.first().map_or(0, |row| row.fields.len());
    if rows::are_even(rows) {
        return None;
    }
    let mut best: Option<DetectedDelimiter> = None;
    for (delimiter, _) in COMMON.into_iter().filter(|(known, _)| ![format.delimiter, format.quote].contains(known)) {
        let split = sample.rows(&CsvDialect { delimiter, ..CsvDialect::of(format) }, rows::SAMPLE_RECORDS);
        let fields = split.first().map_or(0, |row| row.fields.len());
        let better = fields >= header && best.is_none_or(|best| fields > best.fields);
        if better && rows::are_even(&split) && is_convincing(delimiter, &split, sample, format) {
            best = Some(DetectedDelimiter { delimiter, records: split.len(), fields });
        }
    }
    best
}

/// Returns true if even records by this delimiter are not a coincidence.
fn is_convincing(delimiter: u8, rows: &[SampleRow<'_>], sample: &FileSample, format: &CsvFormat) -> bool {
    let header = rows.first().is_some_and(|row| format.header && row.fields.iter().all(|name| is_name(name, format)));
    let fields = rows.first().map_or(0, |row| row.fields.len());
    match (delimiter, rows.len()) {
        // Times and addresses also have colons.
        (b':', records) => records > 2 && fields > 2 && header,
        (_, 1) => header && sample.complete,
        (b'\t', _) | (_, 3..) => true,
        _ => header,
    }
}

/// Returns true if the field may be the name of a column.
fn is_name(field: &[u8], format: &CsvFormat) -> bool {
    let name = rows::unquoted(field, format.quote);
    let begins = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_' || !byte.is_ascii();
    name.first().is_some_and(begins) && name.len() <= MAX_NAME && !name.ends_with(b" ")
}

impl DetectedDelimiter {
    /// Returns the refusal of the file. `rows` are the records by the format's own delimiter.
    pub fn refusal(&self, rows: &[SampleRow<'_>], format: &CsvFormat) -> String {
        let counts = rows.iter().map(|row| row.fields.len());
        let (least, most) = (counts.clone().min().unwrap_or(1), counts.max().unwrap_or(1));
        let found = if least == most { most.to_string() } else { format!("{least} to {most}") };
        let (is, by, given) = (name(self.delimiter), name(format.delimiter), setting(self.delimiter));
        let lines = match self.records {
            1 => "its only line has".to_owned(),
            records => format!("its first {records} lines each have"),
        };
        let one = match most {
            1 => format!(" If it has one column, {}.", setting(format.delimiter)),
            _ => String::new(),
        };
        format!(
            "The file looks {is}-separated: {lines} {} fields by {is} and {found} by {by}. {}.{one}",
            self.fields,
            given[..1].to_uppercase() + &given[1..],
        )
    }

    /// Returns the same as a hint for another error.
    pub fn hint(&self) -> String {
        let is = name(self.delimiter);
        format!("The file looks {is}-separated: {}.", setting(self.delimiter))
    }
}

/// Excel's `sep=` line, which names the delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SepLine {
    /// Delimiter.
    pub delimiter: u8,
    /// Size in bytes, without its line end.
    pub length: usize,
}

/// Returns the `sep=` line at the start of a file.
pub fn sep_line(sample: &FileSample) -> Option<SepLine> {
    let text = sample.text();
    let length = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let length = length.or(sample.complete.then_some(text.len()))?;
    let (word, delimiter) = rows::unquoted(&text[..length], b'"').split_at_checked(4)?;
    match delimiter {
        [delimiter] if delimiter.is_ascii() && word.eq_ignore_ascii_case(b"sep=") => {
            Some(SepLine { delimiter: *delimiter, length })
        }
        _ => None,
    }
}

impl SepLine {
    /// Returns the refusal of a file with another configured delimiter.
    pub fn refusal(&self, format: &CsvFormat) -> String {
        let (is, by) = (name(self.delimiter), name(format.delimiter));
        let whose = if format.delimiter_given { "csv.delimiter" } else { "the default delimiter" };
        let given = setting(self.delimiter);
        format!(
            "Line 1 is Excel's sep= line: the file is {is}-separated, but {whose} is a {by}. To import it, {given}."
        )
    }
}

/// Returns the setting for a file with this delimiter.
fn setting(delimiter: u8) -> String {
    let text: String = char::from(delimiter).escape_default().filter(|letter| *letter != '\'').collect();
    format!("set csv: {{ delimiter: \"{text}\" }}")
}

fn name(delimiter: u8) -> String {
    let known = COMMON.iter().find(|(known, _)| *known == delimiter);
    known.map_or_else(|| format!("{:?}", char::from(delimiter)), |(_, name)| (*name).to_owned())
}
