//! Reading, told without a server: odd files, and any file cut at any record.

use std::io::Write;

use proptest::prelude::*;

use super::columns::Wanted;
use super::lines::Place;
use super::records::{self, Piece, Records};
use super::source::input::Input;
use super::spec::{BadRows, Cursor, Format, Identity};
use crate::datasets::{Batch, Column, ColumnType};
use crate::runner::{Failure, Stop};

type Rows = Vec<Vec<Option<String>>>;

fn open(bytes: &[u8], format: &Format) -> Result<Records, Failure> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let identity = Identity { size: bytes.len() as u64, modified: 0, version: None };
    Records::open(Input::whole(file).unwrap(), identity, format.clone(), Place::START)
}

fn read(mut records: Records, rows: &mut Rows) -> Result<(), Failure> {
    while take(&mut records, rows)?.is_some() {}
    Ok(())
}

fn next(records: &mut Records) -> Result<Option<Piece>, Failure> {
    records.next(Batch::new(records.columns().len()), || Ok(())).map_err(|stop| match stop {
        Stop::Failed(failure) => failure,
        stop => panic!("{stop}"),
    })
}

fn take(records: &mut Records, rows: &mut Rows) -> Result<Option<Cursor>, Failure> {
    let Some(piece) = next(records)? else { return Ok(None) };
    rows.extend(piece.batch.rows().map(|row| row.map(|cell| cell.map(str::to_owned)).collect()));
    Ok(Some(piece.cursor))
}

/// The columns and the rows of a file, or what is wrong with it.
fn table(bytes: &[u8], format: &Format) -> Result<(Vec<String>, Rows), String> {
    let records = open(bytes, format).map_err(|failure| failure.message)?;
    let columns = records.columns().iter().map(|column| column.name.clone()).collect();
    let mut rows = Rows::new();
    read(records, &mut rows).map_err(|failure| failure.message)?;
    Ok((columns, rows))
}

fn cells(rows: &[&[&str]]) -> Rows {
    rows.iter().map(|row| row.iter().map(|cell| Some((*cell).to_owned())).collect()).collect()
}

#[test]
fn files_as_programs_write_them() {
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
        assert_eq!(table(file, &Format::default()), Ok(expected.clone()), "{}", file.escape_ascii());
    }
}

#[test]
fn cells_hold_anything() {
    let file = b"n,text\n1,\"two\r\nlines\"\n2,\"a \"\"quote\"\"\"\n3,\"a,b\"\n4, spaces \n5,\n6,\"\"\n7,\"end\n\"\n8,\xf0\x9f\x98\x80\n";
    let (_, rows) = table(file, &Format::default()).unwrap();
    let texts: Vec<_> = rows.iter().map(|row| row[1].clone().unwrap()).collect();
    assert_eq!(texts, ["two\r\nlines", "a \"quote\"", "a,b", " spaces ", "", "", "end\n", "😀"]);
}

#[test]
fn formats_that_are_asked_for() {
    let tabs = Format { delimiter: b'\t', ..Format::default() };
    assert_eq!(table(b"a\tb\n1,5\t2\n", &tabs).unwrap().1, cells(&[&["1,5", "2"]]));
    let apostrophes = Format { quote: b'\'', ..Format::default() };
    assert_eq!(table(b"a,b\n'x,y',\"\n", &apostrophes).unwrap().1, cells(&[&["x,y", "\""]]));
    let letters = Format { delimiter: b'b', quote: b'a', ..Format::default() };
    assert_eq!(table(b"xby\nababc\n", &letters).unwrap().1, cells(&[&["b", "c"]]));
    let bare = Format { header: false, ..Format::default() };
    let (columns, rows) = table(b"1,2\n3,4\n", &bare).unwrap();
    assert_eq!(
        (columns, rows),
        (vec!["column_1".to_owned(), "column_2".to_owned()], cells(&[&["1", "2"], &["3", "4"]]))
    );
    let nulls = Format { null_value: Some("NA".to_owned()), ..Format::default() };
    assert_eq!(table(b"a,b\nNA,\n", &nulls).unwrap().1, [vec![None, Some(String::new())]]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let table_of_errors: [(&[u8], &str); 9] = [
        (b"", "the file is empty: its first line must name the columns"),
        (b"\xef\xbb\xbf", "the file is empty: its first line must name the columns"),
        (b"\r\n\r\n", "the file is empty: its first line must name the columns"),
        (b"a,b\n1,2\n3\n", "line 3: 1 field but the header has 2"),
        (b"a,b\r\n\"1\r\n1\",2\r\n\r\n3,4,5\r\n", "line 5: 3 fields but the header has 2"),
        (b"a,b\n1,2\n3,\xff\n", "line 3, column \"b\": byte 1 of the cell is not UTF-8"),
        (b"a,b\n1,\xf0\x9f\n", "line 2, column \"b\": byte 1 of the cell is not UTF-8"),
        (b"a,b\n1,2\n3,\"4\n5,6\n", "line 3: a quote is not closed before the end of the file: is the file cut off?"),
        (b"a,b\n1,\"", "line 2: a quote is not closed before the end of the file: is the file cut off?"),
    ];
    for (file, expected) in table_of_errors {
        let error = table(file, &Format::default()).unwrap_err();
        // What the file looks like may follow.
        assert_eq!(error.split(". ").next(), Some(expected), "{}", file.escape_ascii());
    }
}

#[test]
fn a_character_cut_by_a_delimiter_is_no_character() {
    let error = table(b"a,b\n\xc3,\xa9\n", &Format::default()).unwrap_err();
    assert!(error.starts_with("line 2, column \"a\": byte 1 of the cell is not UTF-8"), "{error}");
}

#[test]
fn bytes_like_a_mark_at_a_resumed_place_are_kept() {
    let file = "a\n1\n\u{feff}2\n".as_bytes();
    let mut records = open(file, &Format::default()).unwrap();
    records.limit_batch(1);
    let cursor = take(&mut records, &mut Rows::new()).unwrap().unwrap();
    let mut rest = Rows::new();
    read(records.resume(cursor).unwrap(), &mut rest).unwrap();
    assert_eq!(rest, cells(&[&["\u{feff}2"]]));
}

#[test]
fn another_file_in_its_place_is_not_read_on() {
    let records = open(b"a\n1\n2\n", &Format::default()).unwrap();
    let mut cursor = records.cursor().clone();
    cursor.file.modified += 1;
    assert!(records.resume(cursor).is_err());
}

/// A file as some program might write it, and its cells as one pass of the csv crate reads them.
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
    fn any_bytes_give_the_records_of_the_csv_crate_however_they_are_read(
        bytes in prop::collection::vec(prop::sample::select(b"\"\",,\n\n\r'; ab\xef\xbb\xbf\xff\0".to_vec()), 0..60),
        (delimiter, quote) in prop::sample::select(vec![(b',', b'"'), (b';', b'\''), (b'a', b'b'), (b'\t', b',')]),
        buffer in 1usize..9,
    ) {
        records::splitting::check(&bytes, delimiter, quote, buffer);
    }
}

proptest! {
    #[test]
    fn however_often_it_is_interrupted_the_rows_are_those_of_one_pass(
        rows in (1usize..4).prop_flat_map(|width| {
            prop::collection::vec(prop::collection::vec("[a-c\",\r\n é\u{feff}]{0,6}", width), 1..30)
        }),
        crlf: bool,
        quoted: bool,
        batch in 1usize..5,
    ) {
        let (bytes, expected) = written(&rows, crlf, quoted);
        let format = Format { header: false, ..Format::default() };
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
    fn however_often_it_is_interrupted_bad_rows_are_told_with_the_same_lines(
        bytes in prop::collection::vec(prop::sample::select(b"a1,,\"\r\n\n\xff\xc3\xa9".to_vec()), 0..60),
        batch in 1usize..4,
    ) {
        let file = [b"a,b\n".as_slice(), &bytes].concat();
        prop_assert_eq!(skipping(&file, batch, true), skipping(&file, usize::MAX, false));
    }
}

/// What comes out of a file when bad rows are passed over: rows, rejects, how many, and what went wrong at last.
fn skipping(bytes: &[u8], batch: usize, interrupted: bool) -> (Rows, Vec<u8>, u64, Option<Failure>) {
    let mut records = open(bytes, &Format::default()).unwrap();
    let (mut rows, mut rejects, mut rejected) = (Rows::new(), Vec::new(), 0);
    loop {
        records.limit_batch(batch);
        records.treat_bad_rows(BadRows::Skip(None));
        let piece = match next(&mut records) {
            Ok(Some(piece)) => piece,
            Ok(None) => return (rows, rejects, rejected, None),
            // What came before in the same batch is not committed; so that runs compare, neither are whole batches.
            Err(failure) => return (Rows::new(), Vec::new(), 0, Some(failure)),
        };
        rows.extend(piece.batch.rows().map(|row| row.map(|cell| cell.map(str::to_owned)).collect::<Vec<_>>()));
        rejects.extend(piece.rejects);
        rejected = piece.cursor.rejected;
        if interrupted {
            records = records.resume(piece.cursor).unwrap();
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_the_batch_to_be_full() {
    let mut records = open(&[b"a,b\n".as_slice(), &b"1,2\n".repeat(3000)].concat(), &Format::default()).unwrap();
    let looks = std::cell::Cell::new(0);
    let stopped = records.next(Batch::new(2), || {
        looks.set(looks.get() + 1);
        if looks.get() < 3 { Ok(()) } else { Err(Stop::Interrupted) }
    });
    assert!(matches!(stopped, Err(Stop::Interrupted)));
    assert!(records.cursor().rows < 1000);
}

#[test]
fn a_bad_row_is_told_with_its_line_and_its_cells() {
    let file = b"a,b\r\n1,2\r\n\r\n3\r\n\"4\n4\",5\n6,7,\"8\"\"8\"\n9,\xff\n";
    let (rows, rejects, rejected, failure) = skipping(file, usize::MAX, false);
    assert_eq!((rows, rejected, failure), (cells(&[&["1", "2"], &["4\n4", "5"]]), 3, None));
    let expected = b"4,,1 field but the header has 2,3\r\n7,,3 fields but the header has 2,6,7,\"8\"\"8\"\r\n\
        8,b,byte 1 of the cell is not UTF-8,9,\xff\r\n";
    assert_eq!(rejects.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn nothing_is_read_after_too_many_bad_rows_also_by_a_run_that_resumes_there() {
    let mut records = open(b"a,b\n1,2\n3\n4,5\n6\n7\n8,9\n", &Format::default()).unwrap();
    records.treat_bad_rows(BadRows::Skip(Some(1)));
    let piece = next(&mut records).unwrap().unwrap();
    let rows: Vec<_> = piece.batch.rows().map(|row| row.map(Option::unwrap).collect::<Vec<_>>()).collect();
    assert_eq!((rows, piece.cursor.rejected), (vec![vec!["1", "2"], vec!["4", "5"]], 2));
    let expected = "3,,1 field but the header has 2,3\r\n5,,1 field but the header has 2,6\r\n";
    assert_eq!(String::from_utf8(piece.rejects).unwrap(), expected);
    let text = "2 rows are bad, but maxBadRows is 1; the last, line 5: 1 field but the header has 2";
    assert_eq!(next(&mut records).err().unwrap().message, text);
    let mut resumed = records.resume(piece.cursor).unwrap();
    assert_eq!(next(&mut resumed).err().unwrap().message, text);
}

#[test]
fn a_mended_file_of_rejects_is_a_file_like_any_other() {
    let file = b"pausa_line,pausa_column,pausa_reason,a,b\r\n4,,1 field but the header has 2,3,4\r\n";
    let (columns, rows) = table(file, &Format::default()).unwrap();
    assert_eq!((columns, rows), (vec!["a".to_owned(), "b".to_owned()], cells(&[&["3", "4"]])));
}

#[test]
fn columns_have_the_types_that_are_asked_for_or_that_a_sample_shows() {
    let file = b"id,code,price,day,note\n1,007,1.50,2026-01-31,\n2,008,,2026-02-01,x\n";
    let mut records = open(file, &Format::default()).unwrap();
    let asked = [Column { name: "note".to_owned(), kind: ColumnType::Boolean }];
    records.lay_out(&Wanted { asked: &asked, present: None }, true).unwrap();
    let kinds: Vec<_> = records.columns().iter().map(|column| column.kind).collect();
    use ColumnType::{Boolean, Date, Integer, Real, Text};
    assert_eq!(kinds, [Integer, Text, Real, Date, Boolean]);
    records.limit_batch(1);
    let mut rows = Rows::new();
    take(&mut records, &mut rows).unwrap();
    let texts = [Some("1"), Some("007"), Some("1.5"), Some("2026-01-31"), None];
    assert_eq!(rows, [texts.map(|text| text.map(str::to_owned))]);
    let failure = take(&mut records, &mut rows).unwrap_err();
    assert_eq!(failure.message, "line 3, column \"note\": \"x\" is not a BOOLEAN: true or false");
}

#[test]
fn columns_that_the_file_lacks_are_refused() {
    let asked = [Column::text("c")];
    let wanted = Wanted { asked: &asked, present: None };
    let mut records = open(b"a,b\n1,2\n", &Format::default()).unwrap();
    let failure = records.lay_out(&wanted, false).unwrap_err();
    assert_eq!(failure.message, "columns names \"c\", which the file lacks: it has [\"a\", \"b\"]");
    let bare = Format { header: false, ..Format::default() };
    let failure = open(b"1,2\n", &bare).unwrap().lay_out(&wanted, false).unwrap_err();
    assert_eq!(failure.message, "line 1: 2 cells where columns names 1");
}
