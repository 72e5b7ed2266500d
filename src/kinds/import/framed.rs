//! The bytes of a CSV file between two guards, so that a record's end is known exactly.
//!
//! After the last byte comes a record of its own, [`SENTINEL`]: a quote that is still open swallows it, which is how an
//! unclosed quote is told from a proper end. Where reading goes on in the middle of a file, a line end comes first: it
//! keeps three bytes that look like a byte-order mark from being dropped there.

use std::io::{self, Read};

/// A line end for a last record that has none, and a record behind the file's own.
const SENTINEL: &[u8] = b"\nend\n";

/// The one cell of the record behind the file's own.
pub const END: &[u8] = b"end";

/// The largest record, in bytes: past it a quote has most likely been left open.
pub const MAX_RECORD: u64 = 64 << 20;

/// A file, or its rest, between the guards.
pub struct Framed<R> {
    before: &'static [u8],
    inner: R,
    after: &'static [u8],
    since_record: u64,
}

impl<R: Read> Framed<R> {
    /// Frames what `inner` still has to give; `resumed` where that is not the whole file.
    pub fn new(inner: R, resumed: bool) -> Framed<R> {
        let before: &[u8] = if resumed { b"\n" } else { b"" };
        Framed { before, inner, after: SENTINEL, since_record: 0 }
    }

    /// A record ended: the next one may be [`MAX_RECORD`] long.
    pub fn record_ended(&mut self) {
        self.since_record = 0;
    }
}

impl<R: Read> Read for Framed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.before.is_empty() {
            return self.before.read(buffer);
        }
        if self.since_record > MAX_RECORD {
            let text = format!("a record is longer than {} MiB: is a quote left open?", MAX_RECORD >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let read = self.inner.read(buffer)?;
        self.since_record += read as u64;
        if read == 0 { self.after.read(buffer) } else { Ok(read) }
    }
}
