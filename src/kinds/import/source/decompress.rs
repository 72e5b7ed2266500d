//! Decompresses gzip and zstd while the compressed file is still downloaded. A file may be several concatenated ones.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::GzDecoder;

use super::failure::read_failure;
use super::growing::GrowingFile;
use super::spool::Spool;
use super::transfer::ReadCancelled;
use crate::runner::Failure;

/// Maximum window of zstd, as a power of two: the default limit of its command line program.
const ZSTD_WINDOW: u32 = 27;

/// Compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceCompression {
    None,
    Gzip,
    Zstd,
}

/// Reason for which decoding ended early.
pub enum DecodeError {
    Failed(Failure),
    Cancelled,
}

/// Reads the compressed file. Flushes the decoded text to disk before it waits for more bytes.
pub struct RawReader {
    input: GrowingFile,
    at: u64,
    spool: Rc<RefCell<Spool>>,
}

impl RawReader {
    /// Reads `input`, which is decoded into `spool`.
    pub fn new(input: GrowingFile, spool: Rc<RefCell<Spool>>) -> RawReader {
        RawReader { input, at: 0, spool }
    }
}

impl Read for RawReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.input.is_ready(self.at) {
            self.spool.borrow_mut().flush(None).map_err(io::Error::other)?;
        }
        let read = self.input.read_at(buffer, self.at).map_err(|error| match error.get_ref() {
            Some(inner) if inner.is::<ReadCancelled>() => error,
            _ => io::Error::other(read_failure(&error)),
        })?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Decompressed bytes of a file.
pub struct Decompressor {
    state: DecompressorState,
    compression: SourceCompression,
}

enum DecompressorState {
    None(BufReader<RawReader>),
    Gzip(Box<GzDecoder<BufReader<RawReader>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<RawReader>>>),
    Ended,
}

impl Decompressor {
    /// Decompresses `raw`.
    pub fn new(raw: BufReader<RawReader>, compression: SourceCompression) -> Result<Decompressor, DecodeError> {
        let state = match compression {
            SourceCompression::None => DecompressorState::None(raw),
            SourceCompression::Gzip => DecompressorState::Gzip(Box::new(GzDecoder::new(raw))),
            SourceCompression::Zstd => {
                let made = zstd::stream::read::Decoder::with_buffer(raw).and_then(|mut decoder| {
                    decoder.window_log_max(ZSTD_WINDOW)?;
                    Ok(decoder)
                });
                DecompressorState::Zstd(Box::new(
                    made.map_err(|error| Failure::internal(format!("Cannot start the zstd decoder: {error}.")))?,
                ))
            }
        };
        Ok(Decompressor { state, compression })
    }

    /// Reads at least `least` bytes. Fewer only at the end.
    pub fn read_some(&mut self, buffer: &mut [u8], least: usize) -> Result<usize, DecodeError> {
        let mut read = 0;
        while read < least {
            match self.read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) => return Err(self.decode_error(&error)),
            }
        }
        Ok(read)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.state {
            DecompressorState::None(raw) => raw.read(buffer),
            DecompressorState::Zstd(frames) => frames.read(buffer),
            DecompressorState::Gzip(member) => match member.read(buffer)? {
                0 => self.next_member(buffer),
                read => Ok(read),
            },
            DecompressorState::Ended => Ok(0),
        }
    }

    /// Continues with the next member of a gzip file. Zeros after the last one are padding.
    fn next_member(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let DecompressorState::Gzip(member) = std::mem::replace(&mut self.state, DecompressorState::Ended) else {
            return Ok(0);
        };
        let mut raw = member.into_inner();
        loop {
            let buffered = raw.fill_buf()?;
            let zeros = buffered.iter().take_while(|byte| **byte == 0).count();
            let ended = buffered.is_empty();
            let more = zeros < buffered.len();
            raw.consume(zeros);
            if ended {
                self.state = DecompressorState::None(raw);
                return Ok(0);
            }
            if more {
                self.state = DecompressorState::Gzip(Box::new(GzDecoder::new(raw)));
                return self.read(buffer);
            }
        }
    }

    fn raw(&self) -> Option<&RawReader> {
        match &self.state {
            DecompressorState::None(raw) => Some(raw.get_ref()),
            DecompressorState::Gzip(member) => Some(member.get_ref().get_ref()),
            DecompressorState::Zstd(frames) => Some(frames.get_ref().get_ref()),
            DecompressorState::Ended => None,
        }
    }

    /// Returns the estimated size of the text, from the share of the file that was read.
    pub fn expected(&self, spool: &Spool) -> Option<u64> {
        let raw = self.raw().filter(|raw| raw.at > 0)?;
        let total = u128::from(spool.received()) * u128::from(raw.input.expected()?) / u128::from(raw.at);
        u64::try_from(total).ok().filter(|total| *total > 0)
    }

    fn decode_error(&self, error: &io::Error) -> DecodeError {
        match error.get_ref() {
            Some(inner) if inner.is::<ReadCancelled>() => return DecodeError::Cancelled,
            Some(inner) => {
                if let Some(failure) = inner.downcast_ref::<Failure>() {
                    return DecodeError::Failed(failure.clone());
                }
            }
            None => {}
        }
        let name = if self.compression == SourceCompression::Zstd { "zstd" } else { "gzip" };
        let at = self.raw().map_or(0, |raw| raw.at);
        DecodeError::Failed(Failure::input(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("The {name} file is truncated: unexpected end after {at} bytes.")
            }
            _ => format!("The {name} file is damaged within its first {at} bytes: {error}."),
        }))
    }
}

impl From<Failure> for DecodeError {
    fn from(failure: Failure) -> DecodeError {
        DecodeError::Failed(failure)
    }
}
