//! Compresses chunks of CSV independently of each other. Each is deflated separately and ends on a byte boundary (RFC 1951, 3.2.4),
//! so a file resumes after a crash.

use flate2::{Compress, Compression as Level, FlushCompress, Status};

use super::spec::{FileCompression, WrittenFile};

/// Empty last block, which ends a deflate stream.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// 1980-01-01, the first date of zip. Constant, so that the same rows give the same bytes.
const ZIP_DATE: u16 = 0x0021;

/// Sizes from here on need zip64 fields.
const ZIP64: u64 = u32::MAX as u64;

/// Version needed to extract: with deflate, and with zip64.
const VERSION: u16 = 20;
const VERSION_ZIP64: u16 = 45;

/// Sizes and CRC follow the file. The name is UTF-8.
const FLAGS: u16 = 0x0808;

const DEFLATED: u16 = 8;

/// Unix attributes: a regular file, mode 0644.
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// Compressed chunk of CSV.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompressedChunk {
    /// Compressed bytes.
    pub bytes: Vec<u8>,
    /// Size of the CSV, in bytes.
    pub plain: u64,
    /// CRC-32 of the CSV.
    pub crc: u32,
}

impl FileCompression {
    /// Compresses a chunk. No CSV gives no bytes.
    pub fn compress(self, csv: Vec<u8>) -> CompressedChunk {
        let plain = csv.len() as u64;
        if self == FileCompression::None || csv.is_empty() {
            return CompressedChunk { bytes: csv, plain, crc: 0 };
        }
        CompressedChunk { crc: crc32fast::hash(&csv), bytes: deflate(&csv), plain }
    }

    /// Returns the bytes before the first chunk.
    pub fn head(self, name: &str) -> Vec<u8> {
        match self {
            FileCompression::None => Vec::new(),
            // No name, no time, unknown system.
            FileCompression::Gzip => vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
            FileCompression::Zip => local_header(name),
        }
    }

    /// Returns the bytes after the last chunk.
    pub fn tail(self, name: &str, written: &WrittenFile) -> Vec<u8> {
        match self {
            FileCompression::None => Vec::new(),
            FileCompression::Gzip => {
                let mut tail = LAST_BLOCK.to_vec();
                tail.extend(written.crc.to_le_bytes());
                // gzip stores the size modulo 2^32.
                tail.extend((written.plain as u32).to_le_bytes());
                tail
            }
            FileCompression::Zip => end_of_zip(name, written),
        }
    }

    /// Returns the CRC of `written` and a chunk after it.
    pub fn crc(self, written: &WrittenFile, chunk: &CompressedChunk) -> u32 {
        if self == FileCompression::None {
            return 0;
        }
        let mut crc = crc32fast::Hasher::new_with_initial_len(written.crc, written.plain);
        crc.combine(&crc32fast::Hasher::new_with_initial_len(chunk.crc, chunk.plain));
        crc.finalize()
    }
}

fn deflate(csv: &[u8]) -> Vec<u8> {
    let mut stream = Compress::new(Level::default(), false);
    let mut bytes = Vec::with_capacity(csv.len() / 3 + 64);
    loop {
        let rest = &csv[usize::try_from(stream.total_in()).unwrap_or(csv.len())..];
        let status = stream.compress_vec(rest, &mut bytes, FlushCompress::Sync);
        // If capacity is left over, everything is flushed.
        let done = bytes.len() < bytes.capacity() && stream.total_in() == csv.len() as u64;
        if done || !matches!(status, Ok(Status::Ok | Status::BufError)) {
            return bytes;
        }
        bytes.reserve(bytes.len().max(64));
    }
}

/// Returns the header of the only file (APPNOTE.TXT, 4.3.7).
fn local_header(name: &str) -> Vec<u8> {
    let mut header = b"PK\x03\x04".to_vec();
    put16(&mut header, &[VERSION, FLAGS, DEFLATED, 0, ZIP_DATE]);
    put32(&mut header, &[0, 0, 0]);
    put16(&mut header, &[length(name), 0]);
    header.extend(name.as_bytes());
    header
}

/// Returns the data descriptor, the central directory and its end (APPNOTE.TXT, 4.3.9 to 4.3.16), as zip64 if a size needs it.
fn end_of_zip(name: &str, written: &WrittenFile) -> Vec<u8> {
    let before = local_header(name).len() as u64;
    let compressed = written.bytes - before + LAST_BLOCK.len() as u64;
    let large = compressed >= ZIP64 || written.plain >= ZIP64;
    let mut end = LAST_BLOCK.to_vec();
    end.extend(b"PK\x07\x08");
    put32(&mut end, &[written.crc]);
    if large {
        put64(&mut end, &[compressed, written.plain]);
    } else {
        put32(&mut end, &[compressed as u32, written.plain as u32]);
    }
    let (directory, start) = (end.len(), written.bytes + end.len() as u64);
    central_header(&mut end, name, written, compressed);
    let size = (end.len() - directory) as u64;
    end_of_directory(&mut end, start, size);
    end
}

fn central_header(end: &mut Vec<u8>, name: &str, written: &WrittenFile, compressed: u64) {
    let large = compressed >= ZIP64 || written.plain >= ZIP64;
    let version = if large { VERSION_ZIP64 } else { VERSION };
    let (short_compressed, short_plain) =
        if large { (u32::MAX, u32::MAX) } else { (compressed as u32, written.plain as u32) };
    end.extend(b"PK\x01\x02");
    // Made by Unix: its attributes follow below.
    put16(end, &[(3 << 8) | version, version, FLAGS, DEFLATED, 0, ZIP_DATE]);
    put32(end, &[written.crc, short_compressed, short_plain]);
    put16(end, &[length(name), if large { 20 } else { 0 }, 0, 0, 0]);
    put32(end, &[ATTRIBUTES, 0]);
    end.extend(name.as_bytes());
    if large {
        put16(end, &[1, 16]);
        put64(end, &[written.plain, compressed]);
    }
}

fn end_of_directory(end: &mut Vec<u8>, start: u64, size: u64) {
    if start >= ZIP64 {
        let here = start + size;
        end.extend(b"PK\x06\x06");
        put64(end, &[44]);
        put16(end, &[(3 << 8) | VERSION_ZIP64, VERSION_ZIP64]);
        put32(end, &[0, 0]);
        put64(end, &[1, 1, size, start]);
        end.extend(b"PK\x06\x07");
        put32(end, &[0]);
        put64(end, &[here]);
        put32(end, &[1]);
    }
    end.extend(b"PK\x05\x06");
    put16(end, &[0, 0, 1, 1]);
    put32(end, &[size as u32, start.min(ZIP64) as u32]);
    put16(end, &[0]);
}

/// Names of datasets are short.
fn length(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}

fn put16(bytes: &mut Vec<u8>, numbers: &[u16]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
}

fn put32(bytes: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
}

fn put64(bytes: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
