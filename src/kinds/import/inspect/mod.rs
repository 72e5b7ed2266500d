//! Checks the first bytes of a file before its first row is written. Refuses content that is evidently not CSV, or has another
//! delimiter, and names the setting to use.
//!
//! Never refuses a CSV file of two or more columns that conforms to RFC 4180 and has no NUL characters. Does not question a
//! delimiter that the client sets. docs/imports.md states the rules.

mod delimiter;
mod encoding;
mod escape;
mod hint;
mod markup;
pub mod rows;
mod sample;
mod signature;
#[cfg(test)]
mod tests;

pub use hint::hint;

use self::rows::CsvDialect;
use self::sample::FileSample;
use super::columns::KnownColumns;
use super::position::FilePosition;
use super::source::growing::GrowingFile;
use super::spec::CsvFormat;
use crate::runner::Failure;

/// Returns the position of the first record: after Excel's `sep=` line, if there is one. A `resumed` import is not checked again.
///
/// # Errors
/// Content that is not CSV, or not with this delimiter. The message says what it looks like and what to do.
pub fn first_record(
    input: &GrowingFile,
    format: &CsvFormat,
    known: &KnownColumns<'_>,
    resumed: bool,
) -> Result<FilePosition, Failure> {
    let sample = FileSample::read(input)?;
    match refusal(&sample, format, known).filter(|_| !resumed) {
        Some(text) => Err(Failure::input(text)),
        None => Ok(start(&sample, format, known)),
    }
}

/// Returns the place of the first record.
fn start(sample: &FileSample, format: &CsvFormat, known: &KnownColumns<'_>) -> FilePosition {
    let expected = || known.expects(sample.rows(&CsvDialect::of(format), 1).first(), format);
    let line = delimiter::sep_line(sample).filter(|line| line.delimiter == format.delimiter && !expected());
    line.map_or(FilePosition::START, |line| FilePosition {
        offset: (sample.mark_length() + line.length) as u64,
        ..FilePosition::START
    })
}

/// Returns why a file is refused. None if it is accepted.
fn refusal(sample: &FileSample, format: &CsvFormat, known: &KnownColumns<'_>) -> Option<String> {
    if let Some(found) = signature::of(sample) {
        return Some(found);
    }
    if let Some(found) = encoding::utf_16(sample).filter(|_| format.encoding.is_none()) {
        return Some(found);
    }
    let rows = sample.rows(&CsvDialect::of(format), rows::SAMPLE_RECORDS);
    let expected = known.expects(rows.first(), format);
    if let Some(line) = delimiter::sep_line(sample) {
        let contradicts = line.delimiter != format.delimiter && !expected;
        return contradicts.then(|| line.refusal(format));
    }
    if rows::is_clean(&rows) && sample.is_utf8() {
        return None;
    }
    let escaped = escape::evident(sample, format);
    let other_format = || if format.delimiter_given { None } else { not_csv(sample) };
    let delimiter = || delimiter::evident(sample, format, &rows).map(|other| other.refusal(&rows, format));
    escaped.or_else(other_format).or_else(|| if format.delimiter_given || expected { None } else { delimiter() })
}

/// Returns the refusal of another text format or of binary data.
fn not_csv(sample: &FileSample) -> Option<String> {
    markup::of(sample).or_else(|| signature::binary(sample))
}
