//! The bytes of a CSV file between two guards, so that a record's end is known exactly.
//!
//! After the last byte comes a record of its own, of one letter: a quote that is still open swallows it, which is how an
//! unclosed quote is told from a proper end. Where reading goes on in the middle of a file, a line end comes first: it
//! keeps three bytes that look like a byte-order mark from being dropped there. At the beginning of the file such a mark is
//! dropped, so it is given together with what is behind it, however few bytes come at once.

use std::io::{self, Read};

use super::spec::Format;

/// The largest record, in bytes: past it a quote has most likely been left open.
pub const MAX_RECORD: u64 = 64 << 20;

/// A byte-order mark in UTF-8 and a byte behind it: the csv crate takes a mark alone for the end of the file.
pub const FIRST: usize = 4;

/// A file, or its rest, between the guards.
pub struct Framed<R> {
    before: &'static [u8],
    inner: R,
    after: [u8; 3],
    sent: usize,
    since_record: u64,
    begun: bool,
}

/// The one cell of the record behind the file's own: a letter that means nothing to the format.
pub fn mark(format: &Format) -> u8 {
    let letters = [b'a', b'b', b'c'];
    letters.into_iter().find(|letter| ![format.delimiter, format.quote].contains(letter)).unwrap_or(b'a')
}

impl<R: Read> Framed<R> {
    /// Frames what `inner` still has to give; `resumed` where that is not the whole file.
    pub fn new(inner: R, resumed: bool, format: &Format) -> Framed<R> {
        let before: &[u8] = if resumed { b"\n" } else { b"" };
        // The line end closes a last record that has none.
        let after = [b'\n', mark(format), b'\n'];
        Framed { before, inner, after, sent: 0, since_record: 0, begun: resumed }
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
        let least = if std::mem::replace(&mut self.begun, true) { 1 } else { FIRST };
        let read = read_at_least(&mut self.inner, least, buffer)?;
        self.since_record += read as u64;
        if read > 0 {
            return Ok(read);
        }
        let sent = (&self.after[self.sent..]).read(buffer)?;
        self.sent += sent;
        Ok(sent)
    }
}

/// Reads until so many bytes have come, there are no more, or the buffer is full.
fn read_at_least(inner: &mut impl Read, least: usize, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < least.min(buffer.len()) {
        match inner.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn first_cell(file: &[u8]) -> Vec<u8> {
        let framed = Framed::new(Slow(file), false, &Format::default());
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(framed);
        let mut record = csv::ByteRecord::new();
        assert!(reader.read_byte_record(&mut record).unwrap());
        record[0].to_vec()
    }

    #[test]
    fn a_mark_that_comes_byte_by_byte_is_dropped_like_any_other() {
        assert_eq!(first_cell(b"\xef\xbb\xbf\"a\",b\n"), b"a");
        assert_eq!(first_cell(b"\"a\"\n"), b"a");
        assert_eq!(first_cell(b"\xef\xbb\xbfa"), b"a");
        assert_eq!(first_cell(b"a"), b"a");
    }
}
