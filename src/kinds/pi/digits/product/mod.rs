//! Multiplication: the one place where two large numbers meet.
//!
//! Small products are num-bigint's. Larger ones are those of polynomials: the numbers are cut into [`pieces`] of b bits,
//! [`transform`]ed, multiplied point by point, transformed back and joined. It is exact: with so many pieces in the shorter
//! factor that `count (2^b - 1)^2` is below the prime of the [`field`], no sum of products is ever cut short. All cores
//! share the work, and a stop is seen within a pass over a part of the data.

mod field;
mod pieces;
mod transform;

use num_bigint::BigUint;

use self::field::P;
use super::{Stop, Stopped, both, go_on};

/// The time of a product of two numbers of n digits grows about as n to this power.
pub(super) const EXPONENT: f64 = 1.1;

/// Words of the shorter factor from which the transform is faster than num-bigint.
const LONG: usize = 600;

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
        (few, many) if few < LONG && (many <= WHOLE || few <= 1) => Ok(short * long),
        (few, many) if few < LONG => halves(short, long, many, stop),
        (few, many) if many >= 2 * few => blocks(short, long, few, stop),
        (few, many) => {
            let shape = Shape::of(few, many);
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
        return Ok(a * a);
    }
    Spectrum::of(a, Shape::of(words, words), stop)?.squared(stop)?.number(stop)
}

/// The `len` bits of `value` from bit `from` on; both are multiples of 32.
pub(super) fn slice(value: &BigUint, from: u64, len: u64) -> BigUint {
    let words = |bits: u64| usize::try_from(bits / 32).unwrap_or(usize::MAX);
    let digits = value.iter_u32_digits().skip(words(from));
    BigUint::new(digits.take(words(len)).collect())
}

fn words(number: &BigUint) -> usize {
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
    let shape = Shape::of(words, words);
    let short = Spectrum::of(short, shape, stop)?;
    let (block, mut product) = (64 * words as u64, BigUint::ZERO);
    for number in (0..long.bits().div_ceil(block)).rev() {
        let part = Spectrum::of(&slice(long, number * block, block), shape, stop)?.times(&short, stop)?;
        product = (product << block) + part.number(stop)?;
    }
    Ok(product)
}

/// How the factors of a product are transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Bits of a piece.
    bits: u32,
    length: usize,
    leaf: usize,
}

impl Shape {
    /// For factors of at most so many words.
    fn of(short: usize, long: usize) -> Shape {
        let bits = piece_bits(short);
        let (length, leaf) = transform::length(pieces::count(short, bits) + pieces::count(long, bits) - 1);
        Shape { bits, length, leaf }
    }
}

/// The most bits of a piece with which each sum of so many words' products stays below the prime.
fn piece_bits(short: usize) -> u32 {
    let fits = |bits: &u32| {
        let most = u128::from((1u64 << bits) - 1);
        most * most * (pieces::count(short, *bits) as u128) < u128::from(P)
    };
    (1..32).rev().find(fits).unwrap_or(1)
}

/// A number transformed.
struct Spectrum {
    shape: Shape,
    values: Vec<u64>,
}

impl Spectrum {
    fn of(number: &BigUint, shape: Shape, stop: Stop<'_>) -> Result<Spectrum, Stopped> {
        let words: Vec<u64> = number.iter_u64_digits().collect();
        let mut values = vec![0; shape.length];
        pieces::cut(&words, shape.bits, &mut values);
        drop(words);
        transform::forward(&mut values, shape.leaf, stop)?;
        Ok(Spectrum { shape, values })
    }

    /// The transformed product.
    fn times(mut self, other: &Spectrum, stop: Stop<'_>) -> Result<Spectrum, Stopped> {
        transform::multiply(&mut self.values, Some(&other.values), self.shape.leaf, stop)?;
        Ok(self)
    }

    /// The transformed square.
    fn squared(mut self, stop: Stop<'_>) -> Result<Spectrum, Stopped> {
        transform::multiply(&mut self.values, None, self.shape.leaf, stop)?;
        Ok(self)
    }

    /// The number of a transformed product.
    fn number(mut self, stop: Stop<'_>) -> Result<BigUint, Stopped> {
        transform::backward(&mut self.values, self.shape.leaf, stop)?;
        Ok(pieces::join(&self.values, self.shape.bits))
    }
}
