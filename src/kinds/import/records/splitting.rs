//! What is promised of splitting a file into records, as a check of any bytes, for the tests and the fuzz target.

use std::io::Write;

use super::{BadRows, Cursor, Format, Identity, Place, Records, mark};
use crate::kinds::import::framed::FIRST;
use crate::kinds::import::source::input::Input;
use crate::runner::Failure;

/// The cells of a record.
type Cells = Vec<Vec<u8>>;

/// Checks that `bytes` give the records of one pass of the csv crate, however few bytes of them are read at once, and from
/// every record on at which an import may go on; and that a quote which is left open is an error.
///
/// # Panics
/// Where that is not so.
pub fn check(bytes: &[u8], delimiter: u8, quote: u8, buffer: usize) {
    let format = Format { delimiter, quote, header: false, ..Format::default() };
    let (mut expected, open) = one_pass(bytes, &format);
    if open {
        expected.pop();
    }
    let Some(records) = begun(bytes, &format, buffer) else {
        assert!(expected.is_empty(), "nothing is read of {}", bytes.escape_ascii());
        return;
    };
    let start = records.cursor.clone();
    let places = read(records, &expected, open, bytes);
    for (number, place) in std::iter::once(start).chain(places).enumerate() {
        let Some(mut records) = begun(bytes, &format, buffer) else { unreachable!("it was read before") };
        records.treat_bad_rows(BadRows::Skip(None));
        let Ok(records) = records.resume(place) else { unreachable!("it is the same file") };
        read(records, &expected[number..], open, bytes);
    }
}

/// The records as the csv crate reads them, and whether a quote is open at the end: then a line end more is text.
fn one_pass(bytes: &[u8], format: &Format) -> (Vec<Cells>, bool) {
    let behind = [bytes, b"\n", &[mark(format)]].concat();
    let records = by_csv(bytes, format);
    let open = by_csv(&behind, format).len() == records.len();
    (records, open)
}

fn by_csv(bytes: &[u8], format: &Format) -> Vec<Cells> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(format.delimiter).quote(format.quote);
    let records = builder.from_reader(bytes).into_byte_records();
    records.map(|record| record.map(|record| cells(&record)).unwrap_or_default()).collect()
}

fn cells(record: &csv::ByteRecord) -> Cells {
    record.iter().map(<[u8]>::to_vec).collect()
}

/// The file at its first record; none where it has no whole one.
fn begun(bytes: &[u8], format: &Format, buffer: usize) -> Option<Records> {
    let input = written(bytes).unwrap_or_else(|error| panic!("a temporary file: {error}"));
    let identity = Identity { size: bytes.len() as u64, modified: 0, version: None };
    let mut records = Records::open(input, identity, format.clone(), Place::START).ok()?;
    // Fewer bytes could not hold a byte-order mark and what tells it from an empty file.
    records.buffer = buffer.max(FIRST);
    let start = records.cursor.clone();
    records.resume(start).ok()
}

fn written(bytes: &[u8]) -> std::io::Result<Input> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    Input::whole(file)
}

/// Reads to the end; answers the places behind the records.
fn read(mut records: Records, expected: &[Cells], open: bool, bytes: &[u8]) -> Vec<Cursor> {
    let mut places = Vec::new();
    let mut found = Vec::new();
    let end: Result<(), Failure> = loop {
        match records.read_record() {
            Ok(Some(_)) => {
                found.push(cells(&records.record));
                places.push(records.cursor.clone());
            }
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    assert_eq!(found, expected, "{}", bytes.escape_ascii());
    assert_eq!(end.is_err(), open, "{end:?}: {}", bytes.escape_ascii());
    places
}
