//! Values of the stack as bytes, to save them between two steps.
//!
//! Layout, all little endian: magic bytes; kind, two words (a range, or the bits of a value) and three lengths as u64; up to
//! three numbers; a checksum of everything before it. Truncated, extended or changed bytes are not read.

use num_bigint::BigUint;

use super::chudnovsky::Triple;
use super::pi::{InverseRoot, PiValue};
use super::work::StackValue;

/// The first eight bytes. The last of them is the version of the layout.
const MAGIC: [u8; 8] = *b"pi-part\x02";

/// Length of the magic bytes, the kind, two words and three lengths.
const HEADER: usize = 7 * 8;

/// Kinds of values.
const TERMS: u64 = 1;
const ROOT: u64 = 2;
const VALUE: u64 = 3;

impl StackValue {
    /// Returns the value as bytes for [`StackValue::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let nothing = &BigUint::ZERO;
        let (kind, words, numbers) = match self {
            StackValue::Terms(Triple { range, p, q, t }) => (TERMS, [range.start, range.end], [p, q, t]),
            StackValue::Root(InverseRoot(root)) => (ROOT, [0, 0], [root, nothing, nothing]),
            StackValue::Value(PiValue { value, bits }) => (VALUE, [*bits, 0], [value, nothing, nothing]),
        };
        let numbers = numbers.map(BigUint::to_bytes_le);
        let len: usize = numbers.iter().map(Vec::len).sum();
        let mut bytes = Vec::with_capacity(HEADER + len + 8);
        bytes.extend_from_slice(&MAGIC);
        let lengths = numbers.iter().map(|number| number.len() as u64);
        for value in [kind].into_iter().chain(words).chain(lengths) {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        for number in numbers {
            bytes.extend_from_slice(&number);
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the value that [`StackValue::to_bytes`] wrote. Returns None if the bytes are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<8>()?;
        if u64::from_le_bytes(*sum) != checksum(body) {
            return None;
        }
        let mut rest = body.strip_prefix(&MAGIC)?;
        let (kind, words) = (word(&mut rest)?, [word(&mut rest)?, word(&mut rest)?]);
        let lengths = [word(&mut rest)?, word(&mut rest)?, word(&mut rest)?];
        let [first, second, third] = lengths.map(|len| number(&mut rest, len));
        let (first, second, third) = (first?, second?, third?);
        if !rest.is_empty() {
            return None;
        }
        match kind {
            TERMS => Some(StackValue::Terms(Triple { range: words[0]..words[1], p: first, q: second, t: third })),
            ROOT => Some(StackValue::Root(InverseRoot(first))),
            VALUE => Some(StackValue::Value(PiValue { value: first, bits: words[0] })),
            _ => None,
        }
    }
}

/// Removes a u64 from the front.
fn word(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}

/// Removes a number of `len` bytes from the front.
fn number(bytes: &mut &[u8], len: u64) -> Option<BigUint> {
    let (first, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(BigUint::from_bytes_le(first))
}

/// Computes FNV-1a over eight bytes at a time, with a shift after each. It detects accidental changes, not attacks. Each step
/// is a bijection of the state, so a change within one word is always detected.
fn checksum(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    let words = words.iter().chain(std::iter::once(&last));
    words.fold(0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64, |sum, word| {
        let sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x0000_0100_0000_01b3);
        sum ^ sum >> 29
    })
}
