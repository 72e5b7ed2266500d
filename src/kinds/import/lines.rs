//! Where a record lies, in bytes and in lines.

use std::io;

use super::source;
use super::source::input::Input;
use super::spec::Cursor;
use crate::runner::Failure;

/// Bytes that are read at once, to find where a record begins.
const CHUNK: usize = 4096;

/// A place in the file. A record's is the end of the one before it: its line end may lie between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The byte.
    pub offset: u64,
    /// The line, from 1, that it lies in.
    pub line: u64,
}

impl Place {
    /// The beginning of a file.
    pub const START: Place = Place { offset: 0, line: 1 };
}

impl From<&Cursor> for Place {
    fn from(cursor: &Cursor) -> Place {
        Place { offset: cursor.offset, line: cursor.line }
    }
}

/// The lines of a file, for those who are told of them.
#[derive(Clone)]
pub struct Lines(pub Input);

impl Lines {
    /// The line, from 1, of the record that begins at `start` or after the line ends there.
    pub fn at(&self, start: Place) -> Result<u64, Failure> {
        self.find(start).map_err(|error| source::unreadable(&error))
    }

    fn find(&self, start: Place) -> io::Result<u64> {
        let mut chunk = [0; CHUNK];
        let Place { offset: mut at, mut line } = start;
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
