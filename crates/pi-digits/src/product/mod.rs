//! Multiplication of large numbers.
//!
//! num-bigint computes small products. Larger ones are products of polynomials: the numbers are [`cut`] into pieces of
//! b bits, [`transform`]ed modulo four primes, multiplied [leaf by leaf](leaves), transformed back and [`join`]ed. The
//! result is exact: `count 2^(2 b)`, with the number of pieces of the shorter factor, is less than half the product of
//! the primes, so the residues determine each sum of products. All cores share the work. A stop ends it within a pass
//! over a part of the data. The loops are compiled for several sets of [`instructions`].

mod butterflies;
mod constants;
mod cut;
mod factor;
mod field;
pub(super) mod instructions;
mod join;
mod leaves;
mod spectrum;
#[cfg(test)]
mod tests;
mod transform;

use num_bigint::BigUint;

pub use self::factor::{CyclicFactor, Signed};
use self::instructions::Instructions;
pub use self::spectrum::{Spectrum, TransformShape};
use super::{StopCheck, Stopped, check_stop, join_both, report_work};

/// Work of two products of words by num-bigint, in words of transforms.
const PLAIN: u64 = 3;

/// Maximum words of the longer factor of one product by num-bigint. It takes some milliseconds.
const MAX_PLAIN: usize = 20_000;

/// Returns `a * b`.
///
/// # Errors
/// [`Stopped`] if `stop` returns true.
pub fn mul(a: &BigUint, b: &BigUint, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
    check_stop(stop)?;
    let (short, long) = if a.bits() <= b.bits() { (a, b) } else { (b, a) };
    let shortest = shortest();
    match (words(short), words(long)) {
        (few, many) if few < shortest && (many <= MAX_PLAIN || few <= 1) => plain(short, long, stop),
        (few, many) if few < shortest => halves(short, long, many, stop),
        (few, many) if many >= 2 * few => blocks(short, long, few, stop),
        (few, many) => {
            let shape = TransformShape::of(few, many, 1);
            let (short, long) = join_both(|| Spectrum::of(short, shape, stop), || Spectrum::of(long, shape, stop))?;
            long.times(&short, stop)?.number(stop)
        }
    }
}

/// Returns `a * a`.
///
/// # Errors
/// [`Stopped`] if `stop` returns true.
pub fn square(a: &BigUint, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
    check_stop(stop)?;
    let words = words(a);
    if words < shortest() {
        return plain(a, a, stop);
    }
    Spectrum::of(a, TransformShape::of(words, words, 1), stop)?.squared(stop)?.number(stop)
}

/// Returns the words of the shorter factor from which a transform is faster than num-bigint.
pub(super) fn shortest() -> usize {
    Instructions::current().shortest()
}

/// Multiplies with num-bigint.
fn plain(a: &BigUint, b: &BigUint, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
    let (few, many) = (words(a).min(words(b)), words(a).max(words(b)));
    let product = a * b;
    report_work((few * many) as u64 * PLAIN / 2, stop)?;
    Ok(product)
}

/// Returns `len` bits of `value` from bit `from`. `len` is a multiple of 32.
pub(super) fn slice(value: &BigUint, from: u64, len: u64) -> BigUint {
    let words = |bits: u64| usize::try_from(bits / 32).unwrap_or(usize::MAX);
    let (mut digits, down) = (value.iter_u32_digits().skip(words(from)), from % 32);
    if down == 0 {
        return BigUint::new(digits.take(words(len)).collect());
    }
    let mut low = digits.next().unwrap_or(0);
    let next = |digit: u32| {
        let word = u64::from(low) | u64::from(digit) << 32;
        low = digit;
        (word >> down) as u32
    };
    BigUint::new(digits.chain(std::iter::once(0)).take(words(len)).map(next).collect())
}

pub(super) fn words(number: &BigUint) -> usize {
    usize::try_from(number.bits().div_ceil(64)).unwrap_or(usize::MAX)
}

/// Multiplies with a small factor by splitting the longer one in two.
fn halves(short: &BigUint, long: &BigUint, words: usize, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
    let cut = 64 * (words as u64 / 2);
    let (low, high) = (slice(long, 0, cut), long >> cut);
    let (low, high) = join_both(|| mul(short, &low, stop), || mul(short, &high, stop))?;
    Ok((high << cut) + low)
}

/// Multiplies factors of different lengths: the longer one in blocks as long as the shorter one, which is transformed
/// once.
fn blocks(short: &BigUint, long: &BigUint, words: usize, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
    let shape = TransformShape::of(words, words, 1);
    let short = Spectrum::of(short, shape, stop)?;
    let (block, mut product) = (64 * words as u64, BigUint::ZERO);
    for number in (0..long.bits().div_ceil(block)).rev() {
        let part = Spectrum::of(&slice(long, number * block, block), shape, stop)?.times(&short, stop)?;
        product = (product << block) + part.number(stop)?;
    }
    Ok(product)
}
