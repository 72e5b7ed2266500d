//! Splits a number into the coefficients of a polynomial: pieces of equally many bits, modulo the primes.

use rayon::prelude::*;

use super::field::{Arithmetic, Constant, PRIMES, Residues, add, mul, power};
use super::instructions::Cpu;

/// Pieces of a chunk, which one core processes alone. 64 pieces fill complete words.
pub const CHUNK: usize = 1 << 10;

/// Returns the number of pieces of `bits` bits in a number of this many words.
pub fn count(words: usize, bits: u32) -> usize {
    (words * 64).div_ceil(bits as usize)
}

/// Writes the pieces of `words` to the front of `out`. A piece has an even number of bits, at most 96.
pub fn cut<C: Cpu>(cpu: C, words: &[u64], bits: u32, out: &mut [Residues]) {
    let (stride, half) = (CHUNK / 64 * bits as usize, bits / 2);
    let pieces = count(words.len(), bits).min(out.len());
    let top = Constant::of_integers(PRIMES.map(|p| power(2, u64::from(half), p)));
    out[..pieces].par_chunks_mut(CHUNK).enumerate().for_each(|(number, out)| {
        let from = number * stride;
        let to = (from + stride).min(words.len());
        cpu.run(|| cut_chunk::<C::Arithmetic>(&words[from..to], half as usize, &top, out));
    });
}

/// Writes the pieces of a chunk. Each piece consists of two halves below `2^48`: the upper one times `top`, plus the
/// lower one.
#[inline(always)]
fn cut_chunk<A: Arithmetic>(words: &[u64], half: usize, top: &Constant, out: &mut [Residues]) {
    for (number, piece) in out.iter_mut().enumerate() {
        let (low, high) = (bits(words, 2 * number * half, half), bits(words, (2 * number + 1) * half, half));
        *piece = add(mul::<A>([high as f64; 4], top), [low as f64; 4]);
    }
}

/// Returns `count` bits from bit `from`, fewer than 64.
#[inline(always)]
fn bits(words: &[u64], from: usize, count: usize) -> u64 {
    let (word, down) = (from / 64, from % 64);
    let low = words.get(word).copied().unwrap_or(0);
    let high = words.get(word + 1).copied().unwrap_or(0);
    (low >> down | high << 1 << (63 - down)) & ((1 << count) - 1)
}
