//! Binary formats, by their first bytes.

use super::sample::Sample;

/// Bytes in which a binary file shows what no text has.
const HEAD: usize = 4096;

/// Where a tar archive names itself.
const TAR: usize = 257;

/// First bytes and what they stand for.
const FORMATS: [(&[u8], &str); 34] = [
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"PK\x07\x08", "a zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file such as .xls"),
    (b"%PDF-", "a PDF document"),
    (b"PAR1", "a Parquet file"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\0\x01\0\0Standard", "an Access database"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip file inside another packed file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file inside another packed file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "an LZ4 file"),
    (b"\xff\x06\0\0sNaPpY", "a Snappy file"),
    (b"LZIP", "an lzip file"),
    (b"\x1f\x9d", "a file packed with compress"),
    (b"\x1f\xa0", "a file packed with compress"),
    (b"MSCF\0\0\0\0", "a cabinet archive"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a RIFF media file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x7fELF", "an executable"),
    (b"MZ", "an executable"),
    (b"\xcf\xfa\xed\xfe", "an executable"),
    (b"\xca\xfe\xba\xbe", "an executable"),
];

/// Refuses a binary file by its first bytes. It must also hold what no text has.
pub fn of(sample: &Sample) -> Option<String> {
    let text = sample.text();
    let head = &text[..text.len().min(HEAD)];
    if !is_no_text(head, sample.complete && text.len() <= HEAD) {
        return None;
    }
    if text.get(TAR..TAR + 5) == Some(b"ustar") {
        return Some(refused("a tar archive"));
    }
    let (_, what) = FORMATS.iter().find(|(first, _)| head.starts_with(first))?;
    Some(refused(if head.starts_with(b"PK\x03\x04") { zip(text) } else { what }))
}

/// Refuses what is mostly bytes that no text has.
pub fn binary(sample: &Sample) -> Option<String> {
    let head = &sample.text()[..sample.text().len().min(HEAD)];
    let control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    let controls = head.iter().filter(control).count();
    (controls > 4 && controls * 10 > head.len()).then(|| refused("binary data"))
}

/// There is a NUL, or bytes that are no UTF-8.
fn is_no_text(head: &[u8], complete: bool) -> bool {
    let broken = std::str::from_utf8(head).is_err_and(|error| complete || error.error_len().is_some());
    broken || head.contains(&0)
}

/// Office documents are zip archives, told by the names of the files in them.
fn zip(text: &[u8]) -> &'static str {
    let holds = |name: &[u8]| text.windows(name.len()).any(|part| part == name);
    if holds(b"opendocument.spreadsheet") {
        "an OpenDocument spreadsheet"
    } else if holds(b"xl/") {
        "an Excel workbook"
    } else if holds(b"[Content_Types].xml") || holds(b"opendocument.") {
        "an Office document"
    } else {
        "a zip archive"
    }
}

fn refused(what: &str) -> String {
    let advice = if ["archive", "packed", "xz", "bzip2", "LZ4", "lzip", "Snappy"].iter().any(|word| what.contains(word))
    {
        "Unpack it and import the CSV file in it"
    } else if ["workbook", "spreadsheet", ".xls"].iter().any(|word| what.contains(word)) {
        "Save the sheet as CSV (UTF-8) and import that"
    } else {
        "Export its data as CSV and import that"
    };
    format!("The file looks like {what}, not CSV. {advice}.")
}
