//! The first bytes of a file's text.

use super::super::source;
use super::super::source::input::Input;
use super::rows::{self, Dialect, Row};
use crate::runner::Failure;

/// Maximum size of a sample, in bytes.
const BYTES: usize = 64 * 1024;

/// A byte-order mark in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The first bytes of a text.
pub struct Sample {
    bytes: Vec<u8>,
    /// The sample is the complete text.
    pub complete: bool,
}

impl Sample {
    /// Reads a sample. A file that is still being fetched is waited for only until its first lines are here.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(input: &Input) -> Result<Sample, Failure> {
        let (mut bytes, mut length) = (vec![0; BYTES], 0);
        while length < BYTES {
            if lines(&bytes[..length]) > rows::FIRST && !input.is_ready(length as u64) {
                break;
            }
            match input.read_at(&mut bytes[length..], length as u64) {
                Ok(0) => {
                    bytes.truncate(length);
                    return Ok(Sample { bytes, complete: true });
                }
                Ok(read) => length += read,
                Err(error) => return Err(source::unreadable(&error)),
            }
        }
        bytes.truncate(length);
        Ok(Sample { bytes, complete: false })
    }

    /// The text without a byte-order mark.
    pub fn text(&self) -> &[u8] {
        self.bytes.strip_prefix(MARK).unwrap_or(&self.bytes)
    }

    /// The first `most` records, as `dialect` splits them. A record that the sample cuts off is left out.
    pub fn rows(&self, dialect: &Dialect, most: usize) -> Vec<Row<'_>> {
        rows::split(self.text(), self.complete, dialect, most)
    }

    /// The text is UTF-8, except perhaps for a character that the sample cuts off.
    pub fn is_utf8(&self) -> bool {
        match std::str::from_utf8(&self.bytes) {
            Ok(_) => true,
            Err(error) => !self.complete && error.error_len().is_none(),
        }
    }

    /// Bytes of the byte-order mark.
    pub fn mark(&self) -> usize {
        self.bytes.len() - self.text().len()
    }

    #[cfg(test)]
    pub fn of(bytes: &[u8], complete: bool) -> Sample {
        Sample { bytes: bytes.to_vec(), complete }
    }
}

/// Line ends; of CRLF one byte.
fn lines(bytes: &[u8]) -> usize {
    let count = |end: u8| bytes.iter().filter(|byte| **byte == end).count();
    count(b'\n').max(count(b'\r'))
}
