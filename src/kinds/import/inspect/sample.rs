//! Sample of a file: the first bytes of its text.

use super::super::source;
use super::super::source::growing::GrowingFile;
use super::rows::{self, CsvDialect, SampleRow};
use crate::runner::Failure;

/// Maximum size of a sample, in bytes.
const SAMPLE_BYTES: usize = 64 * 1024;

/// Byte-order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// First bytes of a text.
pub struct FileSample {
    bytes: Vec<u8>,
    /// The sample is the complete text.
    pub complete: bool,
}

impl FileSample {
    /// Reads a sample. Waits for a download only until its first lines are there.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(input: &GrowingFile) -> Result<FileSample, Failure> {
        let (mut bytes, mut length) = (vec![0; SAMPLE_BYTES], 0);
        while length < SAMPLE_BYTES {
            if count_lines(&bytes[..length]) > rows::SAMPLE_RECORDS && !input.is_ready(length as u64) {
                break;
            }
            match input.read_at(&mut bytes[length..], length as u64) {
                Ok(0) => {
                    bytes.truncate(length);
                    return Ok(FileSample { bytes, complete: true });
                }
                Ok(read) => length += read,
                Err(error) => return Err(source::read_failure(&error)),
            }
        }
        bytes.truncate(length);
        Ok(FileSample { bytes, complete: false })
    }

    /// Returns the text without byte-order mark.
    pub fn text(&self) -> &[u8] {
        self.bytes.strip_prefix(MARK).unwrap_or(&self.bytes)
    }

    /// Returns the first `most` records, split by `dialect`. Leaves out a truncated record.
    pub fn rows(&self, dialect: &CsvDialect, most: usize) -> Vec<SampleRow<'_>> {
        rows::split(self.text(), self.complete, dialect, most)
    }

    /// Returns true if the text is UTF-8, except for a truncated character at the end.
    pub fn is_utf8(&self) -> bool {
        match std::str::from_utf8(&self.bytes) {
            Ok(_) => true,
            Err(error) => !self.complete && error.error_len().is_none(),
        }
    }

    /// Returns the size of the byte-order mark in bytes.
    pub fn mark_length(&self) -> usize {
        self.bytes.len() - self.text().len()
    }

    #[cfg(test)]
    pub fn of(bytes: &[u8], complete: bool) -> FileSample {
        FileSample { bytes: bytes.to_vec(), complete }
    }
}

/// Returns the number of lines.
fn count_lines(bytes: &[u8]) -> usize {
    let count = |end: u8| bytes.iter().filter(|byte| **byte == end).count();
    count(b'\n').max(count(b'\r'))
}
