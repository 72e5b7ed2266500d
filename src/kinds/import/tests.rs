//! Reads odd files, and any file resumed at any record.

use std::io::Write;

use proptest::prelude::*;

use super::columns::KnownColumns;
use super::position::FilePosition;
use super::records::{self, RecordBatch, RecordReader};
use super::source::growing::GrowingFile;
use super::spec::{BadRows, CsvFormat, FileIdentity, ImportCursor};
use crate::datasets::{Batch, Column, ColumnType};
use crate::runner::{Failure, StopReason};

type Rows = Vec<Vec<Option<String>>>;

fn open(bytes: &[u8], format: &CsvFormat) -> Result<RecordReader, Failure> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let identity = FileIdentity { size: bytes.len() as u64, modified: 0, version: None };
    RecordReader::open(GrowingFile::complete(file).unwrap(), identity, format.clone(), FilePosition::START)
}

fn parse(mut records: RecordReader, rows: &mut Rows) -> Result<(), Failure> {
    while take(&mut records, rows)?.is_some() {}
    Ok(())
}

fn next(records: &mut RecordReader) -> Result<Option<RecordBatch>, Failure> {
    records.next(Batch::new(records.columns().len()), || Ok(())).map_err(|stop| match stop {
        StopReason::Failed(failure) => failure,
        stop => panic!("{stop}"),
    })
}

fn take(records: &mut RecordReader, rows: &mut Rows) -> Result<Option<ImportCursor>, Failure> {
    let Some(batch) = next(records)? else { return Ok(None) };
    rows.extend(batch.rows.rows().map(|row| row.map(|cell| cell.map(str::to_owned)).collect()));
    Ok(Some(batch.cursor))
}

/// Returns columns and rows of a file, or its error.
fn table(bytes: &[u8], format: &CsvFormat) -> Result<(Vec<String>, Rows), String> {
    let records = open(bytes, format).map_err(|failure| failure.message)?;
    let columns = records.columns().iter().map(|column| column.name.clone()).collect();
    let mut rows = Rows::new();
    parse(records, &mut rows).map_err(|failure| failure.message)?;
    Ok((columns, rows))
}

fn cells(rows: &[&[&str]]) -> Rows {
    rows.iter().map(|row| row.iter().map(|cell| Some((*cell).to_owned())).collect()).collect()
}

#[test]
fn line_ends_blank_lines_and_quotes_of_common_programs_are_read() {
    let expected = (vec!["a".to_owned(), "b".to_owned()], cells(&[&["1", "2"], &["3", "4"]]));
    let files: [&[u8]; 8] = [
        b"a,b\n1,2\n3,4\n",
        b"a,b\r\n1,2\r\n3,4\r\n",
        b"a,b\r1,2\r3,4\r",
        b"a,b\n1,2\n3,4",
        b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
        b"\n\na,b\n\n1,2\r\n\r\n3,4\n\n\n",
        b"\"a\",\"b\"\n\"1\",\"2\"\n\"3\",\"4\"",
        b"a,b\n1,2\n3,\"4\"",
    ];
    for file in files {
        assert_eq!(table(file, &CsvFormat::default()), Ok(expected.clone()), "{}", file.escape_ascii());
    }
}

#[test]
fn fields_may_contain_any_text() {
    let file = b"n,text\n1,\"two\r\nlines\"\n2,\"a \"\"quote\"\"\"\n3,\"a,b\"\n4, spaces \n5,\n6,\"\"\n7,\"end\n\"\n8,\xf0\x9f\x98\x80\n";
    let (_, rows) = table(file, &CsvFormat::default()).unwrap();
    let texts: Vec<_> = rows.iter().map(|row| row[1].clone().unwrap()).collect();
    assert_eq!(texts, ["two\r\nlines", "a \"quote\"", "a,b", " spaces ", "", "", "end\n", "😀"]);
}

#[test]
fn requested_formats_are_used() {
    let tabs = CsvFormat { delimiter: b'\t', ..CsvFormat::default() };
    assert_eq!(table(b"a\tb\n1,5\t2\n", &tabs).unwrap().1, cells(&[&["1,5", "2"]]));
    let apostrophes = CsvFormat { quote: b'\'', ..CsvFormat::default() };
    assert_eq!(table(b"a,b\n'x,y',\"\n", &apostrophes).unwrap().1, cells(&[&["x,y", "\""]]));
    let letters = CsvFormat { delimiter: b'b', quote: b'a', ..CsvFormat::default() };
    assert_eq!(table(b"xby\nababc\n", &letters).unwrap().1, cells(&[&["b", "c"]]));
    let bare = CsvFormat { header: false, ..CsvFormat::default() };
    let (columns, rows) = table(b"1,2\n3,4\n", &bare).unwrap();
    assert_eq!(
        (columns, rows),
        (vec!["column_1".to_owned(), "column_2".to_owned()], cells(&[&["1", "2"], &["3", "4"]]))
    );
    let nulls = CsvFormat { null_value: Some("NA".to_owned()), ..CsvFormat::default() };
    assert_eq!(table(b"a,b\nNA,\n", &nulls).unwrap().1, [vec![None, Some(String::new())]]);
}

#[test]
fn errors_name_the_line() {
    let table_of_errors: [(&[u8], &str); 9] = [
        (b"", "The file is empty. The first line must name the columns."),
        (b"\xef\xbb\xbf", "The file is empty. The first line must name the columns."),
        (b"\r\n\r\n", "The file is empty. The first line must name the columns."),
        (b"a,b\n1,2\n3\n", "Line 3 has 1 field, but the header has 2."),
        (b"a,b\r\n\"1\r\n1\",2\r\n\r\n3,4,5\r\n", "Line 5 has 3 fields, but the header has 2."),
        (b"a,b\n1,2\n3,\xff\n", "Line 3, column \"b\": byte 1 is not valid UTF-8."),
        (b"a,b\n1,\xf0\x9f\n", "Line 2, column \"b\": byte 1 is not valid UTF-8."),
        (
            b"a,b\n1,2\n3,\"4\n5,6\n",
            "Line 3: a quoted field is not closed before the end of the file. The file may be truncated.",
        ),
        (b"a,b\n1,\"", "Line 2: a quoted field is not closed before the end of the file. The file may be truncated."),
    ];
    for (file, expected) in table_of_errors {
        let error = table(file, &CsvFormat::default()).unwrap_err();
        // A hint may follow.
        assert!(error.starts_with(expected), "{error}: {}", file.escape_ascii());
    }
}

#[test]
fn a_character_that_a_delimiter_splits_is_invalid() {
    let error = table(b"a,b\n\xc3,\xa9\n", &CsvFormat::default()).unwrap_err();
    assert!(error.starts_with("Line 2, column \"a\": byte 1 is not valid UTF-8."), "{error}");
}

#[test]
fn bytes_like_a_byte_order_mark_after_a_resume_are_kept() {
    let file = "a\n1\n\u{feff}2\n".as_bytes();
    let mut records = open(file, &CsvFormat::default()).unwrap();
    records.limit_batch(1);
    let cursor = take(&mut records, &mut Rows::new()).unwrap().unwrap();
    let mut rest = Rows::new();
    parse(records.resume(cursor).unwrap(), &mut rest).unwrap();
    assert_eq!(rest, cells(&[&["\u{feff}2"]]));
}

#[test]
fn a_changed_file_is_not_resumed() {
    let records = open(b"a\n1\n2\n", &CsvFormat::default()).unwrap();
    let mut cursor = records.cursor().clone();
    cursor.file.modified += 1;
    assert!(records.resume(cursor).is_err());
}

/// Returns a file as a program may write it, and its fields as the csv crate reads them.
fn written(rows: &[Vec<String>], crlf: bool, quoted: bool) -> (Vec<u8>, Rows) {
    let mut writer = csv::WriterBuilder::new();
    writer.terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') });
    writer.quote_style(if quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary });
    let mut writer = writer.from_writer(Vec::new());
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    let bytes = writer.into_inner().unwrap();
    let read = csv::ReaderBuilder::new().has_headers(false).from_reader(&*bytes);
    let cells = read.into_records().map(|record| record.unwrap().iter().map(|cell| Some(cell.to_owned())).collect());
    let cells = cells.collect();
    (bytes, cells)
}

proptest! {
    #[test]
    fn any_bytes_give_the_records_of_the_csv_crate_for_any_size_of_reads(
        bytes in prop::collection::vec(prop::sample::select(b"\"\",,\n\n\r'; ab\xef\xbb\xbf\xff\0".to_vec()), 0..60),
        (delimiter, quote) in prop::sample::select(vec![(b',', b'"'), (b';', b'\''), (b'a', b'b'), (b'\t', b',')]),
        buffer in 1usize..9,
    ) {
        records::splitting::check(&bytes, delimiter, quote, buffer);
    }
}

proptest! {
    #[test]
    fn interruptions_do_not_change_the_rows(
        rows in (1usize..4).prop_flat_map(|width| {
            prop::collection::vec(prop::collection::vec("[a-c\",\r\n é\u{feff}]{0,6}", width), 1..30)
        }),
        crlf: bool,
        quoted: bool,
        batch in 1usize..5,
    ) {
        let (bytes, expected) = written(&rows, crlf, quoted);
        let format = CsvFormat { header: false, ..CsvFormat::default() };
        let mut records = open(&bytes, &format).unwrap();
        let mut found = Rows::new();
        loop {
            records.limit_batch(batch);
            let Some(cursor) = take(&mut records, &mut found).unwrap() else { break };
            records = records.resume(cursor).unwrap();
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn interruptions_do_not_change_the_lines_of_bad_rows(
        bytes in prop::collection::vec(prop::sample::select(b"a1,,\"\r\n\n\xff\xc3\xa9".to_vec()), 0..60),
        batch in 1usize..4,
    ) {
        let file = [b"a,b\n".as_slice(), &bytes].concat();
        prop_assert_eq!(skipping(&file, batch, true), skipping(&file, usize::MAX, false));
    }
}

/// Reads a file and skips bad rows. Returns rows, rejects, their number, and the failure at the end.
fn skipping(bytes: &[u8], limit: usize, interrupted: bool) -> (Rows, Vec<u8>, u64, Option<Failure>) {
    let mut records = open(bytes, &CsvFormat::default()).unwrap();
    let (mut rows, mut rejects, mut rejected) = (Rows::new(), Vec::new(), 0);
    loop {
        records.limit_batch(limit);
        records.set_bad_rows(BadRows::Skip(None));
        let batch = match next(&mut records) {
            Ok(Some(batch)) => batch,
            Ok(None) => return (rows, rejects, rejected, None),
            // Earlier rows of the same batch are not committed. All are dropped, so that runs with other batches compare equal.
            Err(failure) => return (Rows::new(), Vec::new(), 0, Some(failure)),
        };
        rows.extend(batch.rows.rows().map(|row| row.map(|cell| cell.map(str::to_owned)).collect::<Vec<_>>()));
        rejects.extend(batch.rejects);
        rejected = batch.cursor.rejected;
        if interrupted {
            records = records.resume(batch.cursor).unwrap();
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_the_batch_to_be_full() {
    let mut records = open(&[b"a,b\n".as_slice(), &b"1,2\n".repeat(3000)].concat(), &CsvFormat::default()).unwrap();
    let checks = std::cell::Cell::new(0);
    let stopped = records.next(Batch::new(2), || {
        checks.set(checks.get() + 1);
        if checks.get() < 3 { Ok(()) } else { Err(StopReason::Interrupted) }
    });
    assert!(matches!(stopped, Err(StopReason::Interrupted)));
    assert!(records.cursor().rows < 1000);
}

#[test]
fn a_bad_row_is_rejected_with_its_line_and_fields() {
    let file = b"a,b\r\n1,2\r\n\r\n3\r\n\"4\n4\",5\n6,7,\"8\"\"8\"\n9,\xff\n";
    let (rows, rejects, rejected, failure) = skipping(file, usize::MAX, false);
    assert_eq!((rows, rejected, failure), (cells(&[&["1", "2"], &["4\n4", "5"]]), 3, None));
    let expected = b"4,,1 field instead of 2,3\r\n7,,3 fields instead of 2,6,7,\"8\"\"8\"\r\n\
        8,b,byte 1 is not valid UTF-8,9,\xff\r\n";
    assert_eq!(rejects.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn nothing_is_read_after_too_many_bad_rows_even_after_a_resume() {
    let mut records = open(b"a,b\n1,2\n3\n4,5\n6\n7\n8,9\n", &CsvFormat::default()).unwrap();
    records.set_bad_rows(BadRows::Skip(Some(1)));
    let batch = next(&mut records).unwrap().unwrap();
    let rows: Vec<_> = batch.rows.rows().map(|row| row.map(Option::unwrap).collect::<Vec<_>>()).collect();
    assert_eq!((rows, batch.cursor.rejected), (vec![vec!["1", "2"], vec!["4", "5"]], 2));
    let expected = "3,,1 field instead of 2,3\r\n5,,1 field instead of 2,6\r\n";
    assert_eq!(String::from_utf8(batch.rejects).unwrap(), expected);
    let text = "2 rows are bad, but maxBadRows is 1. Last bad row: Line 5 has 1 field, but the header has 2.";
    assert_eq!(next(&mut records).err().unwrap().message, text);
    let mut resumed = records.resume(batch.cursor).unwrap();
    assert_eq!(next(&mut resumed).err().unwrap().message, text);
}

#[test]
fn a_corrected_rejects_file_can_be_imported() {
    let file = b"pausa_line,pausa_column,pausa_reason,a,b\r\n4,,1 field instead of 2,3,4\r\n";
    let (columns, rows) = table(file, &CsvFormat::default()).unwrap();
    assert_eq!((columns, rows), (vec!["a".to_owned(), "b".to_owned()], cells(&[&["3", "4"]])));
}

#[test]
fn column_types_are_requested_or_inferred() {
    let file = b"id,code,price,day,note\n1,007,1.50,2026-01-31,\n2,008,,2026-02-01,x\n";
    let mut records = open(file, &CsvFormat::default()).unwrap();
    let requested = [Column { name: "note".to_owned(), kind: ColumnType::Boolean }];
    records.set_columns(&KnownColumns { requested: &requested, existing: None }, true).unwrap();
    let kinds: Vec<_> = records.columns().iter().map(|column| column.kind).collect();
    use ColumnType::{Boolean, Date, Integer, Real, Text};
    assert_eq!(kinds, [Integer, Text, Real, Date, Boolean]);
    records.limit_batch(1);
    let mut rows = Rows::new();
    take(&mut records, &mut rows).unwrap();
    let texts = [Some("1"), Some("007"), Some("1.5"), Some("2026-01-31"), None];
    assert_eq!(rows, [texts.map(|text| text.map(str::to_owned))]);
    let failure = take(&mut records, &mut rows).unwrap_err();
    assert_eq!(failure.message, "Line 3, column \"note\": \"x\" is not a BOOLEAN: true or false.");
}

#[test]
fn requested_columns_that_the_file_lacks_are_an_error() {
    let requested = [Column::text("c")];
    let known = KnownColumns { requested: &requested, existing: None };
    let mut records = open(b"a,b\n1,2\n", &CsvFormat::default()).unwrap();
    let failure = records.set_columns(&known, false).unwrap_err();
    assert_eq!(failure.message, "columns names \"c\", but the file has only [\"a\", \"b\"].");
    let bare = CsvFormat { header: false, ..CsvFormat::default() };
    let failure = open(b"1,2\n", &bare).unwrap().set_columns(&known, false).unwrap_err();
    assert_eq!(failure.message, "Line 1 has 2 fields, but columns names 1.");
}
