//! Detects quotes that are escaped with a backslash, as MySQL and some libraries write them.

use super::super::spec::CsvFormat;
use super::rows::{CsvDialect, SampleRow};
use super::sample::FileSample;

/// Refuses a file whose quotes are evidently escaped with a backslash: with that rule, all records of the sample conform and have the
/// same number of fields; with doubled quotes they do not.
pub fn evident(sample: &FileSample, format: &CsvFormat) -> Option<String> {
    let escaped = [b'\\', format.quote];
    if !sample.text().windows(2).any(|pair| pair == escaped) {
        return None;
    }
    let doubled = CsvDialect::of(format);
    let plain = sample.rows(&doubled, usize::MAX);
    let slashed = sample.rows(&CsvDialect { escape: Some(b'\\'), ..doubled }, usize::MAX);
    let fields = slashed.first().map_or(0, |row| row.fields.len());
    if !slashed.iter().all(|row| row.proper && row.fields.len() == fields) {
        return None;
    }
    let holds = |row: &&SampleRow<'_>| row.fields.iter().any(|field| field.windows(2).any(|pair| pair == escaped));
    let wrong = plain.iter().find(|row| !row.proper && holds(row)).map(|row| row.line);
    let cut = || (sample.complete && plain.len() < slashed.len()).then(|| slashed.iter().find(holds)).flatten();
    let line = wrong.or_else(|| cut().map(|row| row.line))?;
    let quote = char::from(format.quote);
    Some(format!(
        "Line {line}: quotes in the file are escaped with a backslash (\\{quote}). \
         Write a quote inside a quoted field as {quote}{quote}, as RFC 4180 says."
    ))
}

/// Returns the line of a field that begins with blanks and a quote, which does not count as one.
pub fn space_before_quote(rows: &[SampleRow<'_>], quote: u8) -> Option<usize> {
    let spaced = |field: &&[u8]| {
        let trimmed = field.trim_ascii_start();
        trimmed.len() < field.len() && trimmed.first() == Some(&quote)
    };
    rows.iter().find(|row| row.fields.iter().any(spaced)).map(|row| row.line)
}
