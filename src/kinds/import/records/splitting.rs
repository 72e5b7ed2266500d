//! Checks how any bytes are split into records, for the tests and the fuzz target.

use std::io::Write;

use super::{BadRows, CsvFormat, FileIdentity, FilePosition, ImportCursor, RecordReader, sentinel};
use crate::kinds::import::sentinel::FIRST_READ;
use crate::kinds::import::source::growing::GrowingFile;
use crate::runner::Failure;

/// Fields of a record.
type Fields = Vec<Vec<u8>>;

/// Checks that `bytes` give the same records as one pass of the csv crate, with reads of any size, and when an import resumes at
/// any record; and that an open quote is an error.
///
/// # Panics
/// If a check fails.
pub fn check(bytes: &[u8], delimiter: u8, quote: u8, buffer: usize) {
    let format = CsvFormat { delimiter, quote, header: false, ..CsvFormat::default() };
    let (mut expected, open) = one_pass(bytes, &format);
    if open {
        expected.pop();
    }
    let Some(records) = open_at_first_record(bytes, &format, buffer) else {
        assert!(expected.is_empty(), "no record is read of {}", bytes.escape_ascii());
        return;
    };
    let start = records.cursor.clone();
    let cursors = read_to_end(records, &expected, open, bytes);
    for (number, cursor) in std::iter::once(start).chain(cursors).enumerate() {
        let Some(mut records) = open_at_first_record(bytes, &format, buffer) else {
            unreachable!("it was read before")
        };
        records.set_bad_rows(BadRows::Skip(None));
        let Ok(records) = records.resume(cursor) else { unreachable!("it is the same file") };
        read_to_end(records, &expected[number..], open, bytes);
    }
}

/// Returns the records as the csv crate reads them, and true if a quote is open at the end.
fn one_pass(bytes: &[u8], format: &CsvFormat) -> (Vec<Fields>, bool) {
    let with_sentinel = [bytes, b"\n", &[sentinel(format)]].concat();
    let records = by_csv(bytes, format);
    let open = by_csv(&with_sentinel, format).len() == records.len();
    (records, open)
}

fn by_csv(bytes: &[u8], format: &CsvFormat) -> Vec<Fields> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(format.delimiter).quote(format.quote);
    let records = builder.from_reader(bytes).into_byte_records();
    records.map(|record| record.map(|record| fields(&record)).unwrap_or_default()).collect()
}

fn fields(record: &csv::ByteRecord) -> Fields {
    record.iter().map(<[u8]>::to_vec).collect()
}

/// Opens the file at its first record. None if it has no complete one.
fn open_at_first_record(bytes: &[u8], format: &CsvFormat, buffer: usize) -> Option<RecordReader> {
    let input = written(bytes).unwrap_or_else(|error| panic!("a temporary file: {error}"));
    let identity = FileIdentity { size: bytes.len() as u64, modified: 0, version: None };
    let mut records = RecordReader::open(input, identity, format.clone(), FilePosition::START).ok()?;
    // Fewer bytes cannot hold a byte-order mark and the byte after it.
    records.buffer = buffer.max(FIRST_READ);
    let start = records.cursor.clone();
    records.resume(start).ok()
}

fn written(bytes: &[u8]) -> std::io::Result<GrowingFile> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    GrowingFile::complete(file)
}

/// Reads to the end. Returns the cursor after each record.
fn read_to_end(mut records: RecordReader, expected: &[Fields], open: bool, bytes: &[u8]) -> Vec<ImportCursor> {
    let mut cursors = Vec::new();
    let mut found = Vec::new();
    let end: Result<(), Failure> = loop {
        match records.read_record() {
            Ok(Some(_)) => {
                found.push(fields(&records.record));
                cursors.push(records.cursor.clone());
            }
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    assert_eq!(found, expected, "{}", bytes.escape_ascii());
    assert_eq!(end.is_err(), open, "{end:?}: {}", bytes.escape_ascii());
    cursors
}
