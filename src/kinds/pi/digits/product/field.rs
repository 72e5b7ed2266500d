//! Arithmetic modulo the prime `p = 2^64 - 2^32 + 1` (Solinas, "Generalized Mersenne Numbers", 1999).
//!
//! `2^64 = 2^32 - 1` and `2^96 = -1` modulo p, so a product of two words is reduced by a few additions; and
//! `p - 1 = 2^32 * 3 * 5 * 17 * 257 * 65537` gives roots of unity for lengths up to `2^32`. Any word stands for its
//! remainder; one that is below p itself is called reduced.

use std::hint::select_unpredictable;

/// The prime.
pub const P: u64 = 0xffff_ffff_0000_0001;

/// `2^64` modulo the prime.
const WRAP: u64 = 0xffff_ffff;

/// A generator of all that is not 0.
const GENERATOR: u64 = 7;

/// `a + b`, for a reduced `b`.
#[inline(always)]
pub fn add(a: u64, b: u64) -> u64 {
    let (sum, over) = a.overflowing_add(b);
    sum.wrapping_add(select_unpredictable(over, WRAP, 0))
}

/// `a - b`, for a reduced `b`.
#[inline(always)]
pub fn sub(a: u64, b: u64) -> u64 {
    let (difference, under) = a.overflowing_sub(b);
    difference.wrapping_sub(select_unpredictable(under, WRAP, 0))
}

/// The reduced word of `a`.
#[inline(always)]
pub fn reduced(a: u64) -> u64 {
    let (less, under) = a.overflowing_sub(P);
    if under { a } else { less }
}

/// `a * b`.
#[inline(always)]
pub fn mul(a: u64, b: u64) -> u64 {
    fold(u128::from(a) * u128::from(b))
}

/// `a * i`, where `i = 2^48` is a square root of -1.
#[inline(always)]
pub fn mul_i(a: u64) -> u64 {
    fold(u128::from(a) << 48)
}

/// A word for `a`: with `a = low + 2^64 middle + 2^96 high` it is `low - high + (2^32 - 1) middle`.
#[inline(always)]
pub fn fold(a: u128) -> u64 {
    let (low, top) = (a as u64, (a >> 64) as u64);
    let (difference, under) = low.overflowing_sub(top >> 32);
    // It is above 2^64 - 2^32 where it went under, so this cannot go under again.
    let difference = if under { difference.wrapping_sub(WRAP) } else { difference };
    let middle = (top & WRAP) * WRAP;
    // Below 2^64 - 2^33 where it went over, so this cannot go over again.
    let (sum, over) = difference.overflowing_add(middle);
    sum.wrapping_add(select_unpredictable(over, WRAP, 0))
}

/// `base` to the power of `exponent`.
pub fn power(mut base: u64, mut exponent: u64) -> u64 {
    let mut product = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = mul(product, base);
        }
        base = mul(base, base);
        exponent >>= 1;
    }
    reduced(product)
}

/// `1 / a`.
pub fn inverse(a: u64) -> u64 {
    power(a, P - 2)
}

/// A primitive root of unity of order `2^log`, for `log` up to 32; that of order 4 is `2^48`.
pub fn root(log: u32) -> u64 {
    power(GENERATOR, (P - 1) >> log)
}

/// A sum of products that is reduced once.
#[derive(Clone, Copy, Default)]
pub struct Sum {
    low: u128,
    over: u64,
}

impl Sum {
    /// Adds `a * b`.
    #[inline(always)]
    pub fn add(&mut self, a: u64, b: u64) {
        let (low, over) = self.low.overflowing_add(u128::from(a) * u128::from(b));
        self.low = low;
        self.over += u64::from(over);
    }

    /// A word for the sum, of fewer than `2^31` products: `2^128 = -2^32`.
    #[inline(always)]
    pub fn word(self) -> u64 {
        sub(fold(self.low), self.over << 32)
    }
}
