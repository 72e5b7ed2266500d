//! Positions in a file, in bytes and lines.

use std::io;

use super::source;
use super::source::growing::GrowingFile;
use super::spec::ImportCursor;
use crate::runner::Failure;

/// Bytes that are read at once to find the first byte of a record.
const CHUNK: usize = 4096;

/// Position in a file. That of a record is the end of the one before it: line ends may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// Byte, from 0.
    pub offset: u64,
    /// Line, from 1.
    pub line: u64,
}

impl FilePosition {
    /// The start of a file.
    pub const START: FilePosition = FilePosition { offset: 0, line: 1 };
}

impl From<&ImportCursor> for FilePosition {
    fn from(cursor: &ImportCursor) -> FilePosition {
        FilePosition { offset: cursor.offset, line: cursor.line }
    }
}

/// Finds the lines of records, for error texts.
#[derive(Clone)]
pub struct LineNumbers(pub GrowingFile);

impl LineNumbers {
    /// Returns the line, from 1, of the record that begins at `start` or after the line ends there.
    pub fn at(&self, start: FilePosition) -> Result<u64, Failure> {
        self.find(start).map_err(|error| source::read_failure(&error))
    }

    fn find(&self, start: FilePosition) -> io::Result<u64> {
        let mut chunk = [0; CHUNK];
        let FilePosition { offset: mut at, mut line } = start;
        loop {
            let read = self.0.read_at(&mut chunk, at)?;
            for &byte in &chunk[..read] {
                if !matches!(byte, b'\r' | b'\n') {
                    return Ok(line);
                }
                line += u64::from(byte == b'\n');
            }
            if read == 0 {
                return Ok(line);
            }
            at += read as u64;
        }
    }
}
