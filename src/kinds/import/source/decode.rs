//! Decodes the bytes of a file to text. gzip and zstd are detected by their first bytes, other encodings than UTF-8 by their label
//! or byte-order mark.

use std::cell::RefCell;
use std::io::{BufReader, Read};
use std::rc::Rc;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::decompress::{DecodeError, Decompressor, RawReader, SourceCompression};
use super::failure::read_failure;
use super::growing::GrowingFile;
use super::spool::Spool;
use crate::runner::Failure;

/// Size of a read, in bytes.
const CHUNK: usize = 256 * 1024;

/// Replaces what cannot be decoded. Not valid UTF-8, so the field is rejected.
const UNDECODABLE: u8 = 0xff;

/// Compression and encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFormat {
    compression: SourceCompression,
    /// None: UTF-8, unless there is a byte-order mark of UTF-16.
    encoding: Option<&'static Encoding>,
}

impl SourceFormat {
    /// Detects the format by the first bytes. Waits for them.
    pub fn detect(raw: &GrowingFile, label: Option<&str>) -> Result<SourceFormat, Failure> {
        let mut first = Vec::new();
        raw.reader_at(0).take(4).read_to_end(&mut first).map_err(|error| read_failure(&error))?;
        let compression = match first.as_slice() {
            [0x1f, 0x8b, ..] => SourceCompression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => SourceCompression::Zstd,
            _ => SourceCompression::None,
        };
        let named = label.and_then(|label| Encoding::for_label_no_replacement(label.as_bytes()));
        let mark = if compression == SourceCompression::None { wide_mark(&first) } else { None };
        Ok(SourceFormat { compression, encoding: named.filter(|encoding| *encoding != UTF_8).or(mark) })
    }

    /// Sets the encoding of `text`, if it is known beforehand.
    pub fn set_encoding(&self, text: &GrowingFile) {
        if let Some(encoding) = self.encoding {
            text.set_encoding(encoding_name(encoding));
        }
    }

    /// Returns true if the bytes are the text.
    pub fn is_plain(&self) -> bool {
        self.compression == SourceCompression::None && self.encoding.is_none()
    }
}

/// Returns the encoding of a byte-order mark other than that of UTF-8.
fn wide_mark(first: &[u8]) -> Option<&'static Encoding> {
    let (encoding, _) = Encoding::for_bom(first)?;
    (encoding != UTF_8).then_some(encoding)
}

/// Decodes `raw` into the spool, to the end or until reading is cancelled. Readers of the spool get the error.
pub fn decode(raw: &GrowingFile, form: SourceFormat, spool: Spool) {
    let text = spool.input().clone();
    match decode_to_end(raw, form, spool) {
        Ok(()) => {}
        Err(DecodeError::Failed(failure)) => text.fail(failure),
        Err(DecodeError::Cancelled) => text.cancel(),
    }
}

fn decode_to_end(raw: &GrowingFile, form: SourceFormat, spool: Spool) -> Result<(), DecodeError> {
    let spool = Rc::new(RefCell::new(spool));
    let source = RawReader::new(raw.clone(), Rc::clone(&spool));
    let mut bytes = Decompressor::new(BufReader::with_capacity(CHUNK, source), form.compression)?;
    let mut chunk = vec![0; CHUNK];
    let mut read = bytes.read_some(&mut chunk, 4)?;
    let encoding = form.encoding.or_else(|| wide_mark(&chunk[..read]));
    let mut decoder = encoding.map(|encoding| TextDecoder::new(encoding, &spool));
    while read > 0 {
        let expected = bytes.expected(&spool.borrow());
        match &mut decoder {
            Some(decoder) => decoder.push(&chunk[..read], false, expected)?,
            None => spool.borrow_mut().push(&chunk[..read], expected)?,
        }
        if spool.borrow().input().is_cancelled() {
            return Err(DecodeError::Cancelled);
        }
        read = bytes.read_some(&mut chunk, 1)?;
    }
    if let Some(decoder) = &mut decoder {
        decoder.push(&[], true, None)?;
    }
    Ok(spool.borrow_mut().finish()?)
}

fn encoding_name(encoding: &'static Encoding) -> &'static str {
    if [UTF_16LE, UTF_16BE].contains(&encoding) { "UTF-16" } else { encoding.name() }
}

/// Decodes text of another encoding to UTF-8.
struct TextDecoder {
    decoder: Decoder,
    text: Vec<u8>,
    spool: Rc<RefCell<Spool>>,
}

impl TextDecoder {
    fn new(encoding: &'static Encoding, spool: &Rc<RefCell<Spool>>) -> TextDecoder {
        // A byte-order mark takes precedence over the label, as in the WHATWG standard.
        let decoder = encoding.new_decoder();
        spool.borrow().input().set_encoding(encoding_name(encoding));
        TextDecoder { decoder, text: vec![0; CHUNK], spool: Rc::clone(spool) }
    }

    fn push(&mut self, mut bytes: &[u8], last: bool, expected: Option<u64>) -> Result<(), DecodeError> {
        loop {
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.text, last);
            let mut spool = self.spool.borrow_mut();
            spool.push(&self.text[..written], expected)?;
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => spool.push(&[UNDECODABLE], expected)?,
            }
        }
    }
}
