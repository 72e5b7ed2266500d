//! From a file's bytes to its text: gzip and zstd are recognised by their first bytes, other encodings than UTF-8 by their
//! label or their byte-order mark.

use std::cell::RefCell;
use std::io::{BufReader, Read};
use std::rc::Rc;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::input::Input;
use super::spool::Spool;
use super::unpack::{Ended, Packing, Raw, Unpacking};
use crate::runner::Failure;

/// Bytes that are read and written at once.
const CHUNK: usize = 256 * 1024;

/// No byte of UTF-8: it stands for what cannot be decoded, so that its cell is found bad.
const UNDECODABLE: u8 = 0xff;

/// How a file's bytes become its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    packing: Packing,
    /// None: UTF-8, unless a byte-order mark says UTF-16.
    encoding: Option<&'static Encoding>,
}

impl Form {
    /// Looks at the first bytes, once they are there.
    pub fn of(raw: &Input, label: Option<&str>) -> Result<Form, Failure> {
        let mut first = Vec::new();
        raw.from(0).take(4).read_to_end(&mut first).map_err(|error| super::unreadable(&error))?;
        let packing = match first.as_slice() {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Packing::Zstd,
            _ => Packing::None,
        };
        let named = label.and_then(|label| Encoding::for_label_no_replacement(label.as_bytes()));
        let mark = if packing == Packing::None { wide_mark(&first) } else { None };
        Ok(Form { packing, encoding: named.filter(|encoding| *encoding != UTF_8).or(mark) })
    }

    /// Tells the readers of `text` what it was, where that is known beforehand.
    pub fn name(&self, text: &Input) {
        if let Some(encoding) = self.encoding {
            text.name_encoding(told(encoding));
        }
    }

    /// The bytes are the text.
    pub fn is_plain(&self) -> bool {
        self.packing == Packing::None && self.encoding.is_none()
    }
}

/// The encoding that a byte-order mark tells, where it is not UTF-8.
fn wide_mark(first: &[u8]) -> Option<&'static Encoding> {
    let (encoding, _) = Encoding::for_bom(first)?;
    (encoding != UTF_8).then_some(encoding)
}

/// Decodes `raw` into the spool, to the end or until reading is called off. What is wrong, its readers are told.
pub fn decode(raw: &Input, form: Form, spool: Spool) {
    let text = spool.input().clone();
    match fill(raw, form, spool) {
        Ok(()) => {}
        Err(Ended::Failed(failure)) => text.fail(failure),
        Err(Ended::Halted) => text.halt(),
    }
}

fn fill(raw: &Input, form: Form, spool: Spool) -> Result<(), Ended> {
    let spool = Rc::new(RefCell::new(spool));
    let source = Raw::new(raw.clone(), Rc::clone(&spool));
    let mut bytes = Unpacking::new(BufReader::with_capacity(CHUNK, source), form.packing)?;
    let mut chunk = vec![0; CHUNK];
    let mut read = bytes.read_some(&mut chunk, 4)?;
    let encoding = form.encoding.or_else(|| wide_mark(&chunk[..read]));
    let mut letters = encoding.map(|encoding| Letters::new(encoding, &spool));
    while read > 0 {
        let expected = bytes.expected(&spool.borrow());
        match &mut letters {
            Some(letters) => letters.push(&chunk[..read], false, expected)?,
            None => spool.borrow_mut().push(&chunk[..read], expected)?,
        }
        if spool.borrow().input().is_halted() {
            return Err(Ended::Halted);
        }
        read = bytes.read_some(&mut chunk, 1)?;
    }
    if let Some(letters) = &mut letters {
        letters.push(&[], true, None)?;
    }
    Ok(spool.borrow_mut().finish()?)
}

fn told(encoding: &'static Encoding) -> &'static str {
    if [UTF_16LE, UTF_16BE].contains(&encoding) { "UTF-16" } else { encoding.name() }
}

/// Letters of another encoding, on their way to UTF-8.
struct Letters {
    decoder: Decoder,
    text: Vec<u8>,
    spool: Rc<RefCell<Spool>>,
}

impl Letters {
    fn new(encoding: &'static Encoding, spool: &Rc<RefCell<Spool>>) -> Letters {
        // A label of UTF-16 leaves the order of the bytes to the mark, as the WHATWG's standard does for any label.
        let decoder = encoding.new_decoder();
        spool.borrow().input().name_encoding(told(encoding));
        Letters { decoder, text: vec![0; CHUNK], spool: Rc::clone(spool) }
    }

    fn push(&mut self, mut bytes: &[u8], last: bool, expected: Option<u64>) -> Result<(), Ended> {
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
