//! Reads a CSV file with a sentinel record at its end, so that the end of each record is known exactly.
//!
//! The sentinel is a record of one letter. An open quote at the end of the file consumes it, so it is missing then. If reading
//! resumes in the middle of the file, a line end comes first: without it the csv crate would drop three bytes that look like a
//! byte-order mark. At the start of the file the crate drops such a mark, if it comes together with a byte after it.

use std::io::{self, Read};

use super::spec::CsvFormat;

/// Maximum size of a record, in bytes. A longer one most likely has an open quote.
pub const MAX_RECORD: u64 = 64 << 20;

/// Minimum size of the first read: a byte-order mark and a byte after it. The csv crate takes a mark alone for the end.
pub const FIRST_READ: usize = 4;

/// A file, or its rest, with the sentinel after it.
pub struct SentinelReader<R> {
    before: &'static [u8],
    inner: R,
    after: [u8; 3],
    sent: usize,
    since_record: u64,
    begun: bool,
}

/// Returns the only field of the sentinel record: a letter that is neither delimiter nor quote.
pub fn sentinel(format: &CsvFormat) -> u8 {
    let letters = [b'a', b'b', b'c'];
    letters.into_iter().find(|letter| ![format.delimiter, format.quote].contains(letter)).unwrap_or(b'a')
}

impl<R: Read> SentinelReader<R> {
    /// Reads what is left of `inner`. `resumed`: that is not the complete file.
    pub fn new(inner: R, resumed: bool, format: &CsvFormat) -> SentinelReader<R> {
        let before: &[u8] = if resumed { b"\n" } else { b"" };
        // The line end closes a last record that has none.
        let after = [b'\n', sentinel(format), b'\n'];
        SentinelReader { before, inner, after, sent: 0, since_record: 0, begun: resumed }
    }

    /// Records that a record ended: the next one may be [`MAX_RECORD`] long.
    pub fn record_ended(&mut self) {
        self.since_record = 0;
    }
}

impl<R: Read> Read for SentinelReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.before.is_empty() {
            return self.before.read(buffer);
        }
        if self.since_record > MAX_RECORD {
            let text = format!("the record is longer than {} MiB. A quote may be left open", MAX_RECORD >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let least = if std::mem::replace(&mut self.begun, true) { 1 } else { FIRST_READ };
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

/// Reads until `least` bytes were read, the file ends, or the buffer is full.
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

    /// Reads one byte at a time.
    struct ByteByByte<'a>(&'a [u8]);

    impl Read for ByteByByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn first_field(file: &[u8]) -> Vec<u8> {
        let reader = SentinelReader::new(ByteByByte(file), false, &CsvFormat::default());
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(reader);
        let mut record = csv::ByteRecord::new();
        assert!(reader.read_byte_record(&mut record).unwrap());
        record[0].to_vec()
    }

    #[test]
    fn a_byte_order_mark_that_is_read_byte_by_byte_is_dropped() {
        assert_eq!(first_field(b"\xef\xbb\xbf\"a\",b\n"), b"a");
        assert_eq!(first_field(b"\"a\"\n"), b"a");
        assert_eq!(first_field(b"\xef\xbb\xbfa"), b"a");
        assert_eq!(first_field(b"a"), b"a");
    }
}
