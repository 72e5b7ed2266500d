//! Products, quotients and decimal text of any numbers are those of num-bigint: `cargo fuzz run --sanitizer none arithmetic`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;
use pi_digits::checks;

/// The most words of a number.
const MOST: usize = 4_000;

/// A number of runs of words: each byte pair tells how often the next four bytes come.
fn number(runs: &[u8]) -> BigUint {
    let words = runs.chunks_exact(6).flat_map(|run| {
        let word = u32::from_le_bytes([run[2], run[3], run[4], run[5]]);
        std::iter::repeat_n(word, usize::from(u16::from_le_bytes([run[0], run[1]]) % 2_048))
    });
    BigUint::new(words.take(MOST).collect())
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
