//! Compares the splitting of any bytes into records with the csv crate, with buffers of any size and from any record:
//! `cargo fuzz run --sanitizer none records`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pausa::kinds::import::splitting;

/// Pairs of delimiter and quote. The first byte of the data selects one.
const FORMATS: [(u8, u8); 4] = [(b',', b'"'), (b';', b'\''), (b'\t', b'"'), (b'a', b'b')];

fuzz_target!(|data: &[u8]| {
    let [choice, buffer, bytes @ ..] = data else { return };
    let (delimiter, quote) = FORMATS[usize::from(*choice) % FORMATS.len()];
    splitting::check(bytes, delimiter, quote, usize::from(*buffer));
});
