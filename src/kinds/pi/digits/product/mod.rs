//! Multiplication: the one place where two large numbers meet.
//!
//! Small products are num-bigint's. Larger ones are those of polynomials: the numbers are cut into [`pieces`] of b bits,
//! [`transform`]ed, multiplied point by point, transformed back and joined. It is exact: with so many pieces in the shorter
//! factor that `count (2^b - 1)^2` is below the prime of the [`field`], no sum of products is ever cut short. All cores
//! share the work, and a stop is seen within a pass over a part of the data.

mod factor;
mod field;
mod pieces;
mod spectrum;
mod transform;

use num_bigint::BigUint;

pub use self::factor::{Factor, Signed};
pub use self::spectrum::{Shape, Spectrum};
use super::{Stop, Stopped, both, done, go_on};

/// Words of the shorter factor from which the transform is faster than num-bigint.
pub(super) const LONG: usize = 600;

/// Products of words that num-bigint makes in the time in which a transform does a word once.
const PLAIN: u64 = 2;

/// Words of the longer factor up to which a product of num-bigint is left whole: some milliseconds.
const WHOLE: usize = 20_000;

/// `a * b`, exact.
///
/// # Errors
/// [`Stopped`] where `stop` says so.
pub fn mul(a: &BigUint, b: &BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    go_on(stop)?;
    let (short, long) = if a.bits() <= b.bits() { (a, b) } else { (b, a) };
    match (words(short), words(long)) {
        (few, many) if few < LONG && (many <= WHOLE || few <= 1) => plain(short, long, stop),
        (few, many) if few < LONG => halves(short, long, many, stop),
        (few, many) if many >= 2 * few => blocks(short, long, few, stop),
        (few, many) => {
            let shape = Shape::of(few, many, 1);
            let (short, long) = both(|| Spectrum::of(short, shape, stop), || Spectrum::of(long, shape, stop))?;
            long.times(&short, stop)?.number(stop)
        }
    }
}

/// `a * a`, exact.
///
/// # Errors
/// [`Stopped`] where `stop` says so.
pub fn square(a: &BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    go_on(stop)?;
    let words = words(a);
    if words < LONG {
        return plain(a, a, stop);
    }
    Spectrum::of(a, Shape::of(words, words, 1), stop)?.squared(stop)?.number(stop)
}

/// A product of num-bigint's.
fn plain(a: &BigUint, b: &BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    let (few, many) = (words(a).min(words(b)), words(a).max(words(b)));
    let product = a * b;
    done((few * many) as u64 / PLAIN, stop)?;
    Ok(product)
}

/// The `len` bits of `value` from bit `from` on; `len` is a multiple of 32.
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

/// A product with a small factor: the longer one is cut in two.
fn halves(short: &BigUint, long: &BigUint, words: usize, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    let cut = 64 * (words as u64 / 2);
    let (low, high) = (slice(long, 0, cut), long >> cut);
    let (low, high) = both(|| mul(short, &low, stop), || mul(short, &high, stop))?;
    Ok((high << cut) + low)
}

/// A product of uneven factors: the longer one is cut into blocks as long as the shorter one, which is transformed once.
fn blocks(short: &BigUint, long: &BigUint, words: usize, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    let shape = Shape::of(words, words, 1);
    let short = Spectrum::of(short, shape, stop)?;
    let (block, mut product) = (64 * words as u64, BigUint::ZERO);
    for number in (0..long.bits().div_ceil(block)).rev() {
        let part = Spectrum::of(&slice(long, number * block, block), shape, stop)?.times(&short, stop)?;
        product = (product << block) + part.number(stop)?;
    }
    Ok(product)
}
