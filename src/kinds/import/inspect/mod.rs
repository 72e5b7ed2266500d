//! Checks the first bytes of a file before its first row is written: content that is evidently not CSV, or that another
//! delimiter splits, is refused with the setting to use.
//!
//! The check never refuses a CSV file of two or more columns that is written as RFC 4180 says and has no NUL characters.
//! A delimiter that the client sets is believed. docs/imports.md states the rules.

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

use self::rows::Dialect;
use self::sample::Sample;
use super::columns::Wanted;
use super::lines::Place;
use super::source::input::Input;
use super::spec::Format;
use crate::runner::Failure;

/// Returns where the first record begins: after Excel's `sep=` line, if there is one. An import that has `begun` is not
/// checked again.
///
/// # Errors
/// Content that is not CSV, or not with this delimiter. The message says what it looks like and what to do.
pub fn begin(input: &Input, format: &Format, wanted: &Wanted<'_>, begun: bool) -> Result<Place, Failure> {
    let sample = Sample::read(input)?;
    match refusal(&sample, format, wanted).filter(|_| !begun) {
        Some(text) => Err(Failure::input(text)),
        None => Ok(start(&sample, format, wanted)),
    }
}

/// Returns the place of the first record.
fn start(sample: &Sample, format: &Format, wanted: &Wanted<'_>) -> Place {
    let expected = || wanted.expects(sample.rows(&Dialect::of(format), 1).first(), format);
    let line = delimiter::sep_line(sample).filter(|line| line.delimiter == format.delimiter && !expected());
    line.map_or(Place::START, |line| Place { offset: (sample.mark() + line.length) as u64, ..Place::START })
}

/// Returns why a file is refused.
fn refusal(sample: &Sample, format: &Format, wanted: &Wanted<'_>) -> Option<String> {
    if let Some(found) = signature::of(sample) {
        return Some(found);
    }
    if let Some(found) = encoding::wide(sample).filter(|_| format.encoding.is_none()) {
        return Some(found);
    }
    let rows = sample.rows(&Dialect::of(format), rows::FIRST);
    let wants = wanted.expects(rows.first(), format);
    if let Some(line) = delimiter::sep_line(sample) {
        let contradicts = line.delimiter != format.delimiter && !wants;
        return contradicts.then(|| line.refusal(format));
    }
    if rows::is_clean(&rows) && sample.is_utf8() {
        return None;
    }
    let read = escape::evident(sample, format);
    let guessed = || if format.delimiter_given { None } else { not_csv(sample) };
    let other = || delimiter::evident(sample, format, &rows).map(|other| other.refusal(&rows, format));
    read.or_else(guessed).or_else(|| if format.delimiter_given || wants { None } else { other() })
}

/// Returns what a text, or what is no text, looks like.
fn not_csv(sample: &Sample) -> Option<String> {
    markup::of(sample).or_else(|| signature::binary(sample))
}
