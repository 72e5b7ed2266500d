//! Detects binary formats by their first bytes.

use super::sample::FileSample;

/// Number of bytes that are checked for binary data.
const HEAD: usize = 4096;

/// Offset of the signature of a tar archive.
const TAR_OFFSET: usize = 257;

/// First bytes and names of formats.
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

/// Refuses a binary file by its first bytes. It must also contain binary data.
pub fn of(sample: &FileSample) -> Option<String> {
    let text = sample.text();
    let head = &text[..text.len().min(HEAD)];
    if !is_binary(head, sample.complete && text.len() <= HEAD) {
        return None;
    }
    if text.get(TAR_OFFSET..TAR_OFFSET + 5) == Some(b"ustar") {
        return Some(refused("a tar archive"));
    }
    let (_, what) = FORMATS.iter().find(|(first, _)| head.starts_with(first))?;
    Some(refused(if head.starts_with(b"PK\x03\x04") { zip(text) } else { what }))
}

/// Refuses a file with many control characters.
pub fn binary(sample: &FileSample) -> Option<String> {
    let head = &sample.text()[..sample.text().len().min(HEAD)];
    let control = |byte: &&u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    let controls = head.iter().filter(control).count();
    (controls > 4 && controls * 10 > head.len()).then(|| refused("binary data"))
}

/// Returns true if there is a NUL or invalid UTF-8.
fn is_binary(head: &[u8], complete: bool) -> bool {
    let invalid = std::str::from_utf8(head).is_err_and(|error| complete || error.error_len().is_some());
    invalid || head.contains(&0)
}

/// Names a zip archive. Office documents are zip archives with certain files in them.
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
