//! A number as a polynomial: pieces of a few bits each, and back.
//!
//! 64 pieces of b bits fill b words, so chunks of both begin at the same bit, and all cores share the work.

use num_bigint::BigUint;
use rayon::prelude::*;

use super::field::reduced;

/// Pieces of a chunk: a multiple of 64.
const CHUNK: usize = 1 << 12;

/// How many pieces of `bits` bits a number of so many words has.
pub fn count(words: usize, bits: u32) -> usize {
    (words * 64).div_ceil(bits as usize)
}

/// Writes the pieces of `words` to `out`, which is as long as there are pieces or longer; the rest becomes 0.
pub fn cut(words: &[u64], bits: u32, out: &mut [u64]) {
    let stride = CHUNK / 64 * bits as usize;
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(number, out)| {
        let from = (number * stride).min(words.len());
        let to = (from + stride).min(words.len());
        cut_chunk(&words[from..to], bits, out);
    });
}

fn cut_chunk(words: &[u64], bits: u32, out: &mut [u64]) {
    let mask = (1u64 << bits) - 1;
    let (mut held, mut left, mut next) = (0u64, 0u32, words.iter());
    for piece in out {
        if left >= bits {
            *piece = held & mask;
            held >>= bits;
            left -= bits;
            continue;
        }
        // Fewer bits are held than a piece has, so the word gives at least one.
        let word = next.next().copied().unwrap_or(0);
        *piece = (held | word << left) & mask;
        held = word >> (bits - left);
        left += 64 - bits;
    }
}

/// The number whose pieces are `pieces`, perhaps longer than `bits` bits.
pub fn join(pieces: &[u64], bits: u32) -> BigUint {
    let stride = CHUNK / 64 * bits as usize;
    let chunks: Vec<(Vec<u64>, u128)> = pieces.par_chunks(CHUNK).map(|chunk| join_chunk(chunk, bits, stride)).collect();
    let mut digits = Vec::with_capacity(2 * stride * chunks.len() + 4);
    let mut carry = 0u128;
    for (words, over) in chunks {
        for word in words {
            carry += u128::from(word);
            digits.extend([carry as u32, (carry >> 32) as u32]);
            carry >>= 64;
        }
        // Both are far below 2^127.
        carry += over;
    }
    while carry > 0 {
        digits.push(carry as u32);
        carry >>= 32;
    }
    BigUint::new(digits)
}

/// The words of a chunk, and what is left above them.
fn join_chunk(pieces: &[u64], bits: u32, stride: usize) -> (Vec<u64>, u128) {
    let mut words = Vec::with_capacity(stride);
    let (mut carry, mut held, mut filled) = (0u128, 0u64, 0u32);
    let mask = (1u128 << bits) - 1;
    for piece in pieces.iter().copied().chain(std::iter::repeat_n(0, CHUNK - pieces.len())) {
        carry += u128::from(reduced(piece));
        let low = (carry & mask) as u64;
        carry >>= bits;
        held |= low << filled;
        filled += bits;
        if filled >= 64 {
            words.push(held);
            filled -= 64;
            held = if filled == 0 { 0 } else { low >> (bits - filled) };
        }
    }
    (words, carry)
}
