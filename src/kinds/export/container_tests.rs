//! Other programs open the compressed files.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};

use super::*;

/// Returns a complete file of chunks.
fn compressed(compression: FileCompression, chunks: &[&str]) -> Vec<u8> {
    let mut file = compression.head("t.csv");
    let mut written = WrittenFile { bytes: file.len() as u64, ..WrittenFile::default() };
    for chunk in chunks {
        let chunk = compression.compress(chunk.as_bytes().to_vec());
        written.crc = compression.crc(&written, &chunk);
        written.plain += chunk.plain;
        written.bytes += chunk.bytes.len() as u64;
        file.extend(chunk.bytes);
    }
    let tail = compression.tail("t.csv", &written);
    file.extend(tail);
    file
}

fn chunks() -> Vec<String> {
    let large: String = (0..200_000).map(|n| format!("{n},{}\r\n", n * 7919 % 10_007)).collect();
    vec!["a,b\r\n".to_owned(), large, String::new(), "last,one\r\n".to_owned()]
}

#[test]
fn a_gzip_of_chunks_is_one_file() {
    let chunks = chunks();
    let chunks: Vec<_> = chunks.iter().map(String::as_str).collect();
    let file = compressed(FileCompression::Gzip, &chunks);
    let mut text = String::new();
    let mut reader = flate2::read::GzDecoder::new(file.as_slice());
    reader.read_to_string(&mut text).unwrap();
    assert!(text == chunks.concat());
    assert!(file.len() < text.len() / 2, "{} of {}", file.len(), text.len());
}

#[test]
fn a_zip_of_chunks_has_one_file() {
    let chunks = chunks();
    let chunks: Vec<_> = chunks.iter().map(String::as_str).collect();
    let mut archive = zip::ZipArchive::new(Cursor::new(compressed(FileCompression::Zip, &chunks))).unwrap();
    assert_eq!(archive.len(), 1);
    let mut entry = archive.by_name("t.csv").unwrap();
    let mut text = String::new();
    entry.read_to_string(&mut text).unwrap();
    assert!(text == chunks.concat());
}

#[test]
fn sizes_of_more_than_32_bits_are_stored() {
    let head = FileCompression::Zip.head("t.csv");
    let written = WrittenFile { bytes: 5 << 30, plain: 9 << 30, crc: 7, ..WrittenFile::default() };
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&head).unwrap();
    file.seek(SeekFrom::Start(written.bytes)).unwrap();
    file.write_all(&FileCompression::Zip.tail("t.csv", &written)).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let entry = archive.by_index_raw(0).unwrap();
    let compressed = written.bytes - head.len() as u64 + LAST_BLOCK.len() as u64;
    assert_eq!(
        (entry.name().unwrap().as_ref(), entry.size(), entry.compressed_size()),
        ("t.csv", written.plain, compressed)
    );
    assert_eq!((entry.crc32(), entry.data_start()), (7, Some(head.len() as u64)));
}
