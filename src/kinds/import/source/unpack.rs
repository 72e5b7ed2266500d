//! Unpacking gzip and zstd, whose files may be several put together, while the packed file still comes in.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::GzDecoder;

use super::input::{Halted, Input};
use super::spool::Spool;
use crate::runner::Failure;

/// The largest window of zstd, as a power of two: what its own program takes at most when nothing else is said.
const ZSTD_WINDOW: u32 = 27;

/// What a file is packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
}

/// Why decoding ended early.
pub enum Ended {
    Failed(Failure),
    Halted,
}

/// The packed file's bytes. Before it waits for more of them, what was decoded goes to disk.
pub struct Raw {
    input: Input,
    at: u64,
    spool: Rc<RefCell<Spool>>,
}

impl Raw {
    /// The bytes of `input`, which are decoded into `spool`.
    pub fn new(input: Input, spool: Rc<RefCell<Spool>>) -> Raw {
        Raw { input, at: 0, spool }
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.input.is_ready(self.at) {
            self.spool.borrow_mut().flush(None).map_err(io::Error::other)?;
        }
        let read = self.input.read_at(buffer, self.at).map_err(|error| match error.get_ref() {
            Some(inner) if inner.is::<Halted>() => error,
            _ => io::Error::other(super::unreadable(&error)),
        })?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A file as it is unpacked.
pub struct Unpacking {
    kind: Kind,
    packing: Packing,
}

enum Kind {
    None(BufReader<Raw>),
    Gzip(Box<GzDecoder<BufReader<Raw>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Raw>>>),
    Over,
}

impl Unpacking {
    /// Bytes of `raw` that are packed with `packing`.
    pub fn new(raw: BufReader<Raw>, packing: Packing) -> Result<Unpacking, Ended> {
        let kind = match packing {
            Packing::None => Kind::None(raw),
            Packing::Gzip => Kind::Gzip(Box::new(GzDecoder::new(raw))),
            Packing::Zstd => {
                let made = zstd::stream::read::Decoder::with_buffer(raw).and_then(|mut decoder| {
                    decoder.window_log_max(ZSTD_WINDOW)?;
                    Ok(decoder)
                });
                Kind::Zstd(Box::new(made.map_err(|error| Failure::internal(format!("zstd: {error}")))?))
            }
        };
        Ok(Unpacking { kind, packing })
    }

    /// At least `least` bytes, but at the end.
    pub fn read_some(&mut self, buffer: &mut [u8], least: usize) -> Result<usize, Ended> {
        let mut read = 0;
        while read < least {
            match self.read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) => return Err(self.ended(&error)),
            }
        }
        Ok(read)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.kind {
            Kind::None(raw) => raw.read(buffer),
            Kind::Zstd(frames) => frames.read(buffer),
            Kind::Gzip(member) => match member.read(buffer)? {
                0 => self.next_member(buffer),
                read => Ok(read),
            },
            Kind::Over => Ok(0),
        }
    }

    /// A file of gzip is one or more members; zeros behind the last are padding.
    fn next_member(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Kind::Gzip(member) = std::mem::replace(&mut self.kind, Kind::Over) else { return Ok(0) };
        let mut raw = member.into_inner();
        loop {
            let held = raw.fill_buf()?;
            let zeros = held.iter().take_while(|byte| **byte == 0).count();
            let over = held.is_empty();
            let more = zeros < held.len();
            raw.consume(zeros);
            if over {
                self.kind = Kind::None(raw);
                return Ok(0);
            }
            if more {
                self.kind = Kind::Gzip(Box::new(GzDecoder::new(raw)));
                return self.read(buffer);
            }
        }
    }

    fn raw(&self) -> Option<&Raw> {
        match &self.kind {
            Kind::None(raw) => Some(raw.get_ref()),
            Kind::Gzip(member) => Some(member.get_ref().get_ref()),
            Kind::Zstd(frames) => Some(frames.get_ref().get_ref()),
            Kind::Over => None,
        }
    }

    /// The text's bytes, by the share of the file's that was read.
    pub fn expected(&self, spool: &Spool) -> Option<u64> {
        let raw = self.raw().filter(|raw| raw.at > 0)?;
        let whole = u128::from(spool.came()) * u128::from(raw.input.expected()?) / u128::from(raw.at);
        u64::try_from(whole).ok().filter(|whole| *whole > 0)
    }

    fn ended(&self, error: &io::Error) -> Ended {
        match error.get_ref() {
            Some(inner) if inner.is::<Halted>() => return Ended::Halted,
            Some(inner) => {
                if let Some(failure) = inner.downcast_ref::<Failure>() {
                    return Ended::Failed(failure.clone());
                }
            }
            None => {}
        }
        let name = if self.packing == Packing::Zstd { "zstd" } else { "gzip" };
        let at = self.raw().map_or(0, |raw| raw.at);
        Ended::Failed(Failure::input(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("its {name} file is cut off: it ends after {at} bytes, in the middle of the data")
            }
            _ => format!("its {name} file is damaged in its first {at} bytes: {error}"),
        }))
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failed(failure)
    }
}
