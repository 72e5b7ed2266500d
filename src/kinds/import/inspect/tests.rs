//! Files that are refused and files that are accepted, and exports of any text.

use csv::ByteRecord;
use proptest::prelude::*;

use super::super::columns::KnownColumns;
use super::super::position::FilePosition;
use super::super::spec::CsvFormat;
use super::hint::of as hinted;
use super::rows::CsvDialect;
use super::sample::FileSample;
use super::{refusal, start};
use crate::datasets::Column;

const NOTHING: KnownColumns<'_> = KnownColumns { requested: &[], existing: None };

fn default() -> CsvFormat {
    CsvFormat::default()
}

fn bare() -> CsvFormat {
    CsvFormat { header: false, ..CsvFormat::default() }
}

fn set(delimiter: u8) -> CsvFormat {
    CsvFormat { delimiter, delimiter_given: true, ..CsvFormat::default() }
}

/// Returns why a complete file is refused.
fn refused(text: &[u8], format: &CsvFormat) -> Option<String> {
    refusal(&FileSample::of(text, true), format, &NOTHING)
}

#[test]
fn another_delimiter_must_split_every_line_evenly() {
    let refused_files: [(&str, CsvFormat, &str); 11] = [
        ("a\tb\n1\t2\n", default(), "tab-separated: its first 2 lines each have 2 fields by tab and 1 by comma"),
        ("a b\tc; d\n1\t2;\n", default(), "tab-separated"),
        ("1\tx\n2\ty\n", bare(), "tab-separated"),
        ("1;x\n2;y\n3;z\n", bare(), "semicolon-separated"),
        ("\"a\";\"b,c\"\n1;\"2;3\"\n", default(), "its first 2 lines each have 2 fields by semicolon"),
        ("a;b\n\"1\n2\";3\n", default(), "its first 2 lines each have 2 fields by semicolon and 1 by comma"),
        ("a;b;c\n1;2,5;3\n1;2;3\n", default(), "3 fields by semicolon and 1 to 2 by comma"),
        ("a|b;c\n1|2\n2|3\n", default(), "pipe-separated"),
        ("a;b|c\n1;2|3\n2;3|4|5\n", default(), "2 fields by semicolon"),
        ("a\tb\n", default(), "its only line has 2 fields by tab"),
        ("user:id:shell\nroot:0:sh\nbin:1:sh\n", default(), "3 fields by colon"),
    ];
    for (text, format, expected) in refused_files {
        let message = refused(text.as_bytes(), &format).unwrap_or_default();
        assert!(message.contains(expected), "{text:?}: {message:?}");
    }
    let accepted: [(&str, CsvFormat); 17] = [
        ("", default()),
        ("\n\n", default()),
        ("a,b\n1,2\n", default()),
        ("a;x,b\n1;2,2\n", default()),
        ("note\nfirst; second\nthird; fourth\n", default()),
        ("Dear all; hello\nGood day; bye\n", default()),
        ("Good day; bye\nSee you; soon\n", bare()),
        ("price\n1,5\n2,5\n", default()),
        ("day\n2026-01-31\n2026-02-01\n", default()),
        ("10:00:00\n11:30:00\n12:45:10\n", bare()),
        ("10:00:00\n11:30:00\n12:45:10\n", default()),
        ("00:1a:2b\naa:bb:cc\ndd:ee:ff\n", bare()),
        ("a;b\n1;2\n3\n", default()),
        ("a;b\n1;2\n", set(b',')),
        ("a\tb\n1\t2\n", set(b'|')),
        ("\"a;b\"\n\"1;2\"\n\"3;4\"\n", default()),
        ("a;\"b\n1;2\n", default()),
    ];
    for (text, format) in accepted {
        assert_eq!(refused(text.as_bytes(), &format), None, "{text:?}");
    }
}

#[test]
fn truncated_records_are_not_evidence() {
    let cut = FileSample::of(b"a;b\n1;2\n3", false);
    assert!(refusal(&cut, &default(), &NOTHING).is_some());
    let one = FileSample::of(b"a;b", false);
    assert_eq!(refusal(&one, &default(), &NOTHING), None);
    let letter = FileSample::of(b"a,b\n1,\xc3", false);
    assert_eq!(refusal(&letter, &default(), &NOTHING), None);
}

#[test]
fn names_of_the_client_or_the_dataset_take_precedence() {
    let sample = FileSample::of(b"a;b\n1;2\n", true);
    let columns = [Column::text("a;b")];
    assert_eq!(refusal(&sample, &default(), &KnownColumns { requested: &columns, existing: None }), None);
    assert_eq!(refusal(&sample, &default(), &KnownColumns { requested: &[], existing: Some(&columns) }), None);
    assert!(refusal(&sample, &default(), &KnownColumns { requested: &[Column::text("a")], existing: None }).is_some());
    let rows = FileSample::of(b"1;2\n3;4\n5;6\n", true);
    assert_eq!(refusal(&rows, &bare(), &KnownColumns { requested: &[], existing: Some(&columns) }), None);
    let two = [Column::text("a"), Column::text("b")];
    assert!(refusal(&rows, &bare(), &KnownColumns { requested: &two, existing: None }).is_some());
}

#[test]
fn a_sep_line_with_the_configured_delimiter_is_skipped() {
    let table: [(&str, CsvFormat, u64); 7] = [
        ("sep=;\na;b\n", set(b';'), 5),
        ("\u{feff}SEP=;\r\na;b\r\n", set(b';'), 8),
        ("\"sep=,\"\na,b\n", default(), 7),
        ("sep=\t\na\tb\n", set(b'\t'), 5),
        ("sep=;x\n1\n", default(), 0),
        ("separator\n1\n", default(), 0),
        ("sep=;\n", set(b';'), 5),
    ];
    for (text, format, offset) in table {
        let sample = FileSample::of(text.as_bytes(), true);
        assert_eq!(refusal(&sample, &format, &NOTHING), None, "{text:?}");
        assert_eq!(start(&sample, &format, &NOTHING), FilePosition { offset, line: 1 }, "{text:?}");
    }
    let sample = FileSample::of(b"sep=;\n1\n", true);
    assert!(refusal(&sample, &default(), &NOTHING).is_some());
    assert!(refusal(&sample, &set(b','), &NOTHING).is_some());
    let named = [Column::text("sep=;")];
    let known = KnownColumns { requested: &[], existing: Some(&named) };
    assert_eq!((refusal(&sample, &default(), &known), start(&sample, &default(), &known)), (None, FilePosition::START));
}

#[test]
fn other_formats_are_named() {
    let table: [(&[u8], &str); 22] = [
        (b"PK\x03\x04\x14\0\0\0rows.csv", "a zip archive"),
        (b"PK\x03\x04\x14\0\0\0xl/workbook.xml", "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "an old Office file such as .xls"),
        (b"PAR1\x15\0\x15\x10", "a Parquet file"),
        (b"Obj\x01\x04\x16avro.schema\0", "an Avro file"),
        (b"ORC\x08\x03\0", "an ORC file"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
        (b"%PDF-1.7\n1 0 obj\n", "a PDF document"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7z archive"),
        (b"BZh91AY&SY\x9a\xd3", "a bzip2 file"),
        (b"\xfd7zXZ\0\0\x04", "an xz file"),
        (b"\x7fELF\x02\x01\x01\0", "an executable"),
        (b"[]", "a JSON array"),
        (b"  [\n  {\"a\": 1}", "a JSON array"),
        (b"{\"a\": \"x", "a JSON object"),
        (b"[1]\n[2]\n", "JSON Lines"),
        (b"<html lang=en>\n<head>\n", "an HTML page"),
        (b"<rows><row>1</row></rows>", "XML"),
        (b"{\\rtf1\\ansi x}", "an RTF document"),
        (b"\x01\x02\x03\x04\x05", "binary data"),
    ];
    for (text, expected) in table {
        let message = refused(text, &default()).unwrap_or_default();
        assert!(message.starts_with(&format!("The file looks like {expected}, not CSV. ")), "{expected}: {message:?}");
    }
    let accepted: [&[u8]; 9] = [
        b"PAR1\n1\n",
        b"ORC\nx\n",
        b"MZ,b\n1,2\n",
        b"[name]\nx\n",
        b"{a}\nb\n",
        b"<5\n>7\n",
        b"[1,2,3]\n",
        b"a\n\0\n",
        b"<b>",
    ];
    for text in accepted {
        assert_eq!(refused(text, &default()), None, "{}", text.escape_ascii());
    }
    assert_eq!(refused(b"{\"a\":1}\n{\"a\":2}\n", &set(b'\t')), None, "the client set the delimiter");
}

#[test]
fn utf_16_without_a_mark_is_named() {
    let wide = |order: fn(u16) -> [u8; 2]| "a,b\n1,2\n".encode_utf16().flat_map(order).collect::<Vec<_>>();
    assert!(refused(&wide(u16::to_le_bytes), &default()).unwrap().contains("\"utf-16le\""));
    assert!(refused(&wide(u16::to_be_bytes), &default()).unwrap().contains("\"utf-16be\""));
}

#[test]
fn backslash_escapes_are_detected_only_if_nothing_else_fits() {
    let refused_files = ["a,b\n\"x \\\"q\\\" y\",1\n", "a,b\n1,\"\\\"q\\\"\"\n", "a\n\"say \\\"hi\\\" now\"\n"];
    for text in refused_files {
        let message = refused(text.as_bytes(), &default()).unwrap_or_default();
        assert!(message.starts_with("Line 2: quotes in the file are escaped with a backslash"), "{text:?}: {message}");
    }
    let accepted = ["a,b\n\"C:\\\",1\n", "a,b\n\"\\\",\"\\\"\n", "a,b\n1,x \\\"q\\\" y\n", "a,b\n\"x \"q\" y\",1\n"];
    for text in accepted {
        assert_eq!(refused(text.as_bytes(), &default()), None, "{text:?}");
    }
}

/// A file, its bad record, its format, and a part of the hint.
type HintCase<'a> = (&'a [u8], &'a [&'a [u8]], CsvFormat, &'a str);

#[test]
fn a_hint_says_what_the_file_looks_like() {
    let table: [HintCase<'_>; 9] = [
        (b"a,b\n1,2,\n", &[b"1", b"2", b""], default(), "ends with a delimiter"),
        (b"# x\na,b\n1,2\n", &[b"a", b"b"], default(), "look like comments"),
        (b"a,b\n1,2\n# end\n", &[b"# end"], default(), "look like comments"),
        (b"Report\n\na,b\n1,2\n", &[b"a", b"b"], default(), "begin at line 3"),
        (b"a,b\n1, \"x, y\"\n", &[b"1", b" \"x", b" y\""], default(), "a space between"),
        (b"p\n1,5\n", &[b"1", b"5"], default(), "decimal commas"),
        (b"a,b\nr1,1,2\nr2,3,4\n", &[b"r1", b"1", b"2"], default(), "the header may lack a name"),
        (b"a;b\n1;2;\xfc\n", &[b"\xfc"], set(b';'), "encoding: \"windows-1252\""),
        (b"\xc3\xa4;\xc3\xbc\n1;\xfc\n", &[b"1", b"\xfc"], set(b';'), "may be damaged"),
    ];
    for (text, record, format, expected) in table {
        let record: ByteRecord = record.iter().copied().collect();
        let message = hinted(&FileSample::of(text, true), &format, &record, true).unwrap_or_default();
        assert!(message.contains(expected), "{}: {message:?}", text.escape_ascii());
    }
    let record: ByteRecord = [b"3"].into_iter().collect();
    assert_eq!(hinted(&FileSample::of(b"a,b\n1,2\n3\n", true), &default(), &record, true), None);
}

/// Returns a file as an export writes it.
fn exported(rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new();
    writer.terminator(csv::Terminator::CRLF);
    let mut writer = writer.from_writer(Vec::new());
    rows.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

/// Field of a row: any text without NUL, and text that the checks look for.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\0]{1,8}",
        "[a;|:\t\\\\\"{}\\[\\]<>#, \r\n1]{1,8}",
        prop::sample::select(vec![
            "sep=;",
            "sep=",
            "<html>",
            "{\"a\":1}",
            "[1]",
            "[",
            "]",
            "{",
            "}",
            "%PDF-1.7",
            "PK\u{3}\u{4}",
            "1,5"
        ])
        .prop_map(str::to_owned),
    ]
}

fn table(columns: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<String>>> {
    columns.prop_flat_map(|columns| prop::collection::vec(prop::collection::vec(cell(), columns), 1..25))
}

proptest! {
    #[test]
    fn an_export_of_two_columns_or_more_is_never_refused(rows in table(2..6), header: bool, cut in 0usize..200) {
        let text = exported(&rows);
        let format = CsvFormat { header, ..CsvFormat::default() };
        prop_assert_eq!(refused(&text, &format), None);
        let part = FileSample::of(&text[..text.len().saturating_sub(cut)], false);
        // Nothing is known if the first record is longer than the sample.
        prop_assume!(!part.rows(&CsvDialect::of(&format), 1).is_empty());
        prop_assert_eq!(refusal(&part, &format, &NOTHING), None);
        prop_assert_eq!(start(&part, &format, &NOTHING), FilePosition::START);
    }

    #[test]
    fn an_export_of_one_column_is_accepted_if_its_delimiter_is_set(rows in table(1..2)) {
        let text = exported(&rows);
        let excel = rows[0][0].len() == 5 && rows[0][0].starts_with("sep=");
        if !excel {
            prop_assert_eq!(refused(&text, &set(b',')), None);
            prop_assert_eq!(refused(&text, &CsvFormat { header: false, ..set(b',') }), None);
        }
    }

    #[test]
    fn an_export_of_one_column_without_other_delimiters_is_never_refused(
        rows in prop::collection::vec("[a-z0-9 .,'-]{1,20}", 1..25),
    ) {
        let rows: Vec<_> = rows.into_iter().map(|cell| vec![cell]).collect();
        prop_assert_eq!(refused(&exported(&rows), &default()), None);
    }

    #[test]
    fn any_bytes_are_checked_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), complete: bool) {
        let sample = FileSample::of(&bytes, complete);
        let _ = refusal(&sample, &default(), &NOTHING);
        let record: ByteRecord = [bytes.as_slice()].into_iter().collect();
        let _ = hinted(&sample, &default(), &record, true);
    }
}
