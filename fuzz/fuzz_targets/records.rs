//! Any bytes are split into the records of one pass of the csv crate, read in pieces of any size, and gone on with at any
//! record: `cargo fuzz run --sanitizer none records`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pausa::kinds::import::splitting;

/// Delimiters and quotes, of which the first byte of the data picks one pair.
const FORMATS: [(u8, u8); 4] = [(b',', b'"'), (b';', b'\''), (b'\t', b'"'), (b'a', b'b')];

fuzz_target!(|data: &[u8]| {
    let [choice, buffer, bytes @ ..] = data else { return };
    let (delimiter, quote) = FORMATS[usize::from(*choice) % FORMATS.len()];
    splitting::check(bytes, delimiter, quote, usize::from(*buffer));
});
