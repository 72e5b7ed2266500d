//! Converts a polynomial to a number: computes each coefficient from its residues and adds it at its position.
//!
//! The coefficient is the sum of `r_k M / p_k` minus a multiple of M, where M is the product of the primes and `r_k =
//! residue (M / p_k)^-1` modulo `p_k` (Chinese remainder theorem). The multiple is the integer part of the sum of `r_k
//! / p_k`. Its fractional part is the coefficient divided by M, which is at most a half, so rounding cannot change the
//! integer part.

use std::sync::LazyLock;

use num_bigint::BigUint;
use rayon::prelude::*;

use super::cut::CHUNK;
use super::field::{
    Arithmetic, Constant, PRIMES, Residues, integers, inverse, mul, mul_integers, positive, power, turns,
};
use super::instructions::Cpu;

/// A number of 256 bits, little-endian.
type U256 = [u64; 4];

/// For each prime, the product of the other primes.
const OTHERS: [U256; 4] = [
    product([1, PRIMES[1], PRIMES[2], PRIMES[3]]),
    product([PRIMES[0], 1, PRIMES[2], PRIMES[3]]),
    product([PRIMES[0], PRIMES[1], 1, PRIMES[3]]),
    product([PRIMES[0], PRIMES[1], PRIMES[2], 1]),
];

/// The numbers that subtract a multiple of the product of all primes when they are added modulo `2^256`.
const LESS: [U256; 4] = [[0; 4], opposite(1), opposite(2), opposite(3)];

/// For each prime, the inverses of the product of the others and of 2.
static INVERSES: LazyLock<[[u64; 4]; 2]> = LazyLock::new(|| {
    let others = |k: usize| (0..4).filter(move |other| *other != k).map(|other| PRIMES[other]);
    let product = |k: usize| others(k).fold(1, |product, other| mul_integers(product, other % PRIMES[k], PRIMES[k]));
    [std::array::from_fn(|k| inverse(product(k), PRIMES[k])), std::array::from_fn(|k| inverse(2, PRIMES[k]))]
});

/// Digits of 32 bits after the last piece, for the bits above it: fewer than 128.
const ROOM: usize = 8;

/// Number of pieces that are computed from their residues at a time, with vector instructions if possible.
const BLOCK: usize = 16;

const fn times(mut product: U256, factor: u64) -> U256 {
    let (mut carry, mut word) = (0u128, 0);
    while word < 4 {
        carry += product[word] as u128 * factor as u128;
        product[word] = carry as u64;
        carry >>= 64;
        word += 1;
    }
    product
}

const fn product(factors: [u64; 4]) -> U256 {
    times(times(times(times([1, 0, 0, 0], factors[0]), factors[1]), factors[2]), factors[3])
}

const fn opposite(count: u64) -> U256 {
    let (mut words, mut carry, mut word) = (times(product(PRIMES), count), true, 0);
    while word < 4 {
        (words[word], carry) = (!words[word]).overflowing_add(carry as u64);
        word += 1;
    }
    words
}

/// Returns the number whose pieces of `bits` bits are `pieces / 2^scale`, each of them at most half of the product of
/// the primes. `bits` is even, and from 72 to 96.
pub fn join<C: Cpu>(cpu: C, pieces: &[Residues], bits: u32, scale: u32) -> BigUint {
    let [others, halves] = *INVERSES;
    let factor = |k: usize| mul_integers(others[k], power(halves[k], u64::from(scale), PRIMES[k]), PRIMES[k]);
    let factor = Constant::of_integers(std::array::from_fn(factor));
    let stride = CHUNK / 32 * bits as usize;
    let mut digits = vec![0; (pieces.len() * bits as usize).div_ceil(32) + ROOM];
    let chunks = pieces.par_chunks(CHUNK).zip(digits.par_chunks_mut(stride));
    let above: Vec<u128> =
        chunks.map(|(pieces, digits)| cpu.run(|| chunk::<C::Arithmetic>(pieces, bits, &factor, digits))).collect();
    for (number, above) in above.into_iter().enumerate() {
        add_at(&mut digits, (number + 1) * stride, above);
    }
    BigUint::new(digits)
}

/// Adds a number to the digits from a position on.
fn add_at(digits: &mut [u32], from: usize, number: u128) {
    let mut carry = number;
    for digit in digits.iter_mut().skip(from) {
        if carry == 0 {
            return;
        }
        carry += u128::from(*digit);
        *digit = carry as u32;
        carry >>= 32;
    }
}

/// Writes the digits of a chunk, and returns the carry above them: below `2^128`, as a piece is below `2^200`.
#[inline(always)]
fn chunk<A: Arithmetic>(pieces: &[Residues], bits: u32, factor: &Constant, digits: &mut [u32]) -> u128 {
    let (words, _) = digits.as_chunks_mut::<2>();
    let (mut out, mut carry) = (DigitWriter { words, at: 0, held: 0, filled: 0, bits: bits - 64 }, [0; 4]);
    for block in pieces.chunks(BLOCK) {
        let mut parts = [CrtParts::default(); BLOCK];
        for (parts, piece) in parts.iter_mut().zip(block) {
            *parts = CrtParts::of::<A>(*piece, factor);
        }
        for parts in &parts[..block.len()] {
            carry = out.put(add(carry, parts.sum()));
        }
    }
    // After the last piece.
    while out.at < out.words.len() {
        carry = out.put(carry);
    }
    u128::from(carry[0]) | u128::from(carry[1]) << 64
}

/// Returns `a + b` modulo `2^256`.
#[inline(always)]
fn add(a: U256, b: U256) -> U256 {
    let low = |words: U256| u128::from(words[0]) | u128::from(words[1]) << 64;
    let high = |words: U256| u128::from(words[2]) | u128::from(words[3]) << 64;
    let (sum, over) = low(a).overflowing_add(low(b));
    let top = high(a).wrapping_add(high(b)).wrapping_add(u128::from(over));
    [sum as u64, (sum >> 64) as u64, top as u64, (top >> 64) as u64]
}

/// Writes digits.
struct DigitWriter<'a> {
    words: &'a mut [[u32; 2]],
    /// Number of complete words written.
    at: usize,
    /// Bits that do not fill a word yet, and their number.
    held: u64,
    filled: u32,
    /// Bits of a piece beyond 64: from 8 to 32.
    bits: u32,
}

impl DigitWriter<'_> {
    /// Writes the lowest bits of a number, as many as a piece has, and returns the others.
    #[inline(always)]
    fn put(&mut self, [a, b, c, d]: U256) -> U256 {
        let (up, down) = (64 - self.bits, self.bits);
        self.word(0, self.held | a << self.filled);
        let top = u128::from(b & ((1 << self.bits) - 1)) << self.filled;
        let rest = top | u128::from(a >> 1 >> (63 - self.filled));
        self.word(1, rest as u64);
        let filled = self.filled + self.bits;
        self.held = (rest >> (filled & 64)) as u64;
        self.at += 1 + filled as usize / 64;
        self.filled = filled % 64;
        [b >> down | c << up, c >> down | d << up, d >> down, 0]
    }

    /// Writes a word, or part of a word that is written again. A word beyond the chunk is 0, or part of the carry.
    #[inline(always)]
    fn word(&mut self, behind: usize, word: u64) {
        if let Some(digits) = self.words.get_mut(self.at + behind) {
            *digits = [word as u32, (word >> 32) as u32];
        }
    }
}

/// The parts of a coefficient.
#[derive(Clone, Copy, Default)]
struct CrtParts {
    /// Sum of the multiples of the products of the other primes.
    parts: [u64; 4],
    /// Multiple of the product of all primes to subtract.
    turns: usize,
}

impl CrtParts {
    #[inline(always)]
    fn of<A: Arithmetic>(piece: Residues, factor: &Constant) -> CrtParts {
        let parts = positive(mul::<A>(piece, factor));
        CrtParts { parts: integers(parts), turns: turns(parts) }
    }

    /// Returns the coefficient.
    #[inline(always)]
    fn sum(&self) -> U256 {
        let [mut first, mut second, mut third] = [0u128; 3];
        for (part, others) in self.parts.into_iter().zip(OTHERS) {
            let part = u128::from(part);
            first += part * u128::from(others[0]);
            second += part * u128::from(others[1]);
            third += part * u128::from(others[2]);
        }
        second += first >> 64;
        third += second >> 64;
        add([first as u64, second as u64, third as u64, (third >> 64) as u64], LESS[self.turns & 3])
    }
}
