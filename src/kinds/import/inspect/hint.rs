//! Hints on what a file looks like, added to the error of a record.

use csv::ByteRecord;

use super::super::source::growing::GrowingFile;
use super::super::spec::CsvFormat;
use super::rows::{self, CsvDialect, SampleRow};
use super::sample::FileSample;
use super::{delimiter, encoding, escape, not_csv, signature};

/// Returns what may be wrong with the file of a bad `record`, and what to do.
pub fn hint(input: &GrowingFile, format: &CsvFormat, record: &ByteRecord) -> Option<String> {
    // Without a sample, the error has no hint.
    let sample = FileSample::read(input).ok()?;
    of(&sample, format, record, input.encoding() == "UTF-8")
}

/// The same for a sample. `utf8`: the original file is in UTF-8.
pub fn of(sample: &FileSample, format: &CsvFormat, record: &ByteRecord, utf8: bool) -> Option<String> {
    if let Some(found) = signature::of(sample).or_else(|| not_csv(sample)) {
        return Some(found);
    }
    if std::str::from_utf8(record.as_slice()).is_err() {
        return (utf8 && format.encoding.is_none()).then(|| encoding::hint(sample, record.as_slice()));
    }
    let mut rows = sample.rows(&CsvDialect::of(format), rows::SAMPLE_RECORDS);
    if delimiter::sep_line(sample).is_some() && !rows.is_empty() {
        rows.remove(0);
        return comments(&rows, record).or_else(|| layout(&rows, format));
    }
    let other = delimiter::evident(sample, format, &rows).map(|other| other.hint());
    let escaped = || escape::evident(sample, format);
    other.or_else(escaped).or_else(|| comments(&rows, record)).or_else(|| layout(&rows, format))
}

fn comments(rows: &[SampleRow<'_>], record: &ByteRecord) -> Option<String> {
    let first = rows.first().and_then(|row| row.fields.first().copied());
    let comment = first.into_iter().chain(record.get(0)).find(|field| field.starts_with(b"#"));
    comment.map(|_| "The lines that begin with # look like comments. Remove them.".to_owned())
}

/// Returns a hint from the numbers of fields.
fn layout(rows: &[SampleRow<'_>], format: &CsvFormat) -> Option<String> {
    if let Some(line) = escape::space_before_quote(rows, format.quote) {
        let text =
            format!("Line {line} has a space between a delimiter and a quote, so the quote does not count. Remove it.");
        return Some(text);
    }
    let (header, rest) = rows.split_first()?;
    let (names, fields) = (header.fields.len(), rest.first()?.fields.len());
    let even = rest.iter().all(|row| row.fields.len() == fields);
    let last_empty = rest.iter().all(|row| row.fields.last().is_some_and(|field| field.is_empty()));
    match (even, fields.checked_sub(names)) {
        (true, Some(1)) if last_empty => Some(
            "Each line after the header ends with a delimiter, which makes an empty field. Remove it, or add a \
             name to the header."
                .to_owned(),
        ),
        (true, Some(1)) if names == 1 && rest.iter().all(|row| row.fields.iter().all(|field| is_number(field))) => {
            let text = "If the values have decimal commas, set another delimiter, such as csv: { delimiter: \";\" }.";
            Some(text.to_owned())
        }
        _ if names == 1 => {
            preamble(rows).map(|line| format!("The table seems to begin at line {line}. Remove the lines before it."))
        }
        (true, Some(1)) => Some("Each line has one field more than the header: the header may lack a name.".to_owned()),
        _ => None,
    }
}

/// Returns the line at which records of several fields begin, after lines of one.
fn preamble(rows: &[SampleRow<'_>]) -> Option<usize> {
    let begin = rows.iter().position(|row| row.fields.len() > 1)?;
    let table = &rows[begin..];
    (table.len() > 1 && rows::are_even(table)).then(|| table[0].line)
}

fn is_number(field: &[u8]) -> bool {
    let digits = field.trim_ascii();
    let digits = digits.strip_prefix(b"-").unwrap_or(digits);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
