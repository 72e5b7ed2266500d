//! Compares products, quotients and decimal text with num-bigint: `cargo fuzz run --sanitizer none arithmetic`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;
use pi_digits::checks;

/// Maximum words of a number.
const MAX_WORDS: usize = 4_000;

/// Builds a number of runs of words: each byte pair is the number of repetitions of the next four bytes.
fn number(runs: &[u8]) -> BigUint {
    let words = runs.chunks_exact(6).flat_map(|run| {
        let word = u32::from_le_bytes([run[2], run[3], run[4], run[5]]);
        std::iter::repeat_n(word, usize::from(u16::from_le_bytes([run[0], run[1]]) % 2_048))
    });
    BigUint::new(words.take(MAX_WORDS).collect())
}

fuzz_target!(|data: &[u8]| {
    let [choice, runs @ ..] = data else { return };
    let (a, b) = runs.split_at(runs.len() / 2 / 6 * 6);
    let (a, b) = (number(a), number(b));
    match choice % 3 {
        0 => checks::products(&a, &b),
        1 => checks::quotients(&a, &b),
        _ => {
            checks::digits(&a, u32::try_from(a.bits() / 4).unwrap_or(1).max(1));
        }
    }
});
