//! Multiplication: the one place where two large numbers meet, so that a faster method has one place to go to.
//!
//! Small products are num-bigint's. Larger ones are cut in three by Toom and Cook's method, five smaller products that
//! run side by side, so that every core works and a stop is seen after one small product.

use num_bigint::{BigInt, BigUint, Sign};

use super::{Stop, Stopped, both, go_on};

/// The time of a product of two numbers of n digits grows as n to this power: log 5 / log 3.
pub(super) const EXPONENT: f64 = 1.465;

/// Products of factors up to this many bits are left whole (a few milliseconds).
const WHOLE: u64 = 1 << 18;

/// A factor up to this many bits makes a product that is linear in the longer one.
const SCALAR: u64 = 1 << 8;

/// `a * b`, exact.
///
/// # Errors
/// [`Stopped`] where `stop` says so.
pub fn mul(a: &BigUint, b: &BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    go_on(stop)?;
    let (short, long) = if a.bits() <= b.bits() { (a, b) } else { (b, a) };
    if long.bits() <= WHOLE || short.bits() <= SCALAR {
        return Ok(short * long);
    }
    if short.bits() * 2 <= long.bits() {
        return halves(short, long, stop);
    }
    thirds(short, long, stop)
}

/// `a * a`, exact.
///
/// # Errors
/// [`Stopped`] where `stop` says so.
pub fn square(a: &BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    mul(a, a, stop)
}

/// The `len` bits of `value` from bit `from` on; both are multiples of 32.
pub(super) fn slice(value: &BigUint, from: u64, len: u64) -> BigUint {
    let words = |bits: u64| usize::try_from(bits / 32).unwrap_or(usize::MAX);
    let digits = value.iter_u32_digits().skip(words(from));
    BigUint::new(digits.take(words(len)).collect())
}

/// A product of uneven factors: the longer one is cut in two.
fn halves(short: &BigUint, long: &BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    let cut = (long.bits() / 2).next_multiple_of(64);
    let (low, high) = (slice(long, 0, cut), long >> cut);
    let (low, high) = both(|| mul(short, &low, stop), || mul(short, &high, stop))?;
    Ok((high << cut) + low)
}

/// A number in three pieces, as a polynomial, and its values at the five points of the method.
struct Values {
    at_0: BigInt,
    at_1: BigInt,
    at_minus_1: BigInt,
    at_minus_2: BigInt,
    at_infinity: BigInt,
}

impl Values {
    fn of(number: &BigUint, cut: u64) -> Self {
        let low = BigInt::from(slice(number, 0, cut));
        let middle = BigInt::from(slice(number, cut, cut));
        let high = BigInt::from(number >> (2 * cut));
        let outer = &low + &high;
        let at_minus_1 = &outer - &middle;
        Self {
            at_1: outer + middle,
            at_minus_2: ((&at_minus_1 + &high) << 1u32) - &low,
            at_minus_1,
            at_0: low,
            at_infinity: high,
        }
    }

    /// The five products, side by side.
    fn times(&self, other: &Self, stop: Stop<'_>) -> Result<Self, Stopped> {
        let ends =
            || both(|| signed(&self.at_0, &other.at_0, stop), || signed(&self.at_infinity, &other.at_infinity, stop));
        let ones =
            || both(|| signed(&self.at_1, &other.at_1, stop), || signed(&self.at_minus_1, &other.at_minus_1, stop));
        let two = || signed(&self.at_minus_2, &other.at_minus_2, stop);
        let ((at_0, at_infinity), ((at_1, at_minus_1), at_minus_2)) = both(ends, || both(ones, two))?;
        Ok(Self { at_0, at_1, at_minus_1, at_minus_2, at_infinity })
    }

    /// The number whose polynomial, with pieces of `cut` bits, has these values (Bodrato's sequence).
    fn number(self, cut: u64) -> BigUint {
        let mut third: BigInt = (self.at_minus_2 - &self.at_1) / 3u32;
        let mut first: BigInt = (self.at_1 - &self.at_minus_1) >> 1u32;
        let mut second = self.at_minus_1 - &self.at_0;
        third = ((&second - third) >> 1u32) + (&self.at_infinity << 1u32);
        second += &first - &self.at_infinity;
        first -= &third;
        let mut sum = self.at_infinity;
        for piece in [third, second, first, self.at_0] {
            sum = (sum << cut) + piece;
        }
        sum.into_parts().1
    }
}

fn signed(a: &BigInt, b: &BigInt, stop: Stop<'_>) -> Result<BigInt, Stopped> {
    let sign = a.sign() * b.sign();
    if sign == Sign::NoSign {
        return Ok(BigInt::ZERO);
    }
    let product = mul(a.magnitude(), b.magnitude(), stop)?;
    Ok(BigInt::from_biguint(sign, product))
}

/// A product of two factors of like length.
fn thirds(a: &BigUint, b: &BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    let cut = b.bits().div_ceil(3).next_multiple_of(64);
    let left = Values::of(a, cut);
    let values = if std::ptr::eq(a, b) { left.times(&left, stop)? } else { left.times(&Values::of(b, cut), stop)? };
    drop(left);
    Ok(values.number(cut))
}
