//! Division by a large number, through an approximate inverse of its top half (Newton), in blocks.

use num_bigint::BigUint;
use num_integer::Integer;

use super::product::{mul, slice};
use super::{Stop, Stopped, go_on};

/// Divisors up to this many bits are left to num-bigint.
const PLAIN: u64 = 1 << 14;

/// A divisor made ready: worth keeping where several numbers are divided by it.
///
/// A quotient about as long as the divisor is found in two blocks, each of one product for the quotient and one for
/// the remainder.
pub struct Divisor {
    value: BigUint,
    /// The inverse and the length in bits of a block; none for a small divisor.
    inverse: Option<(BigUint, u64)>,
}

impl Divisor {
    /// Makes `value` ready. A `value` of 0 is accepted here and panics in [`Divisor::div_rem`], as for plain integers.
    ///
    /// # Errors
    /// [`Stopped`] where `stop` says so.
    pub fn new(value: BigUint, stop: Stop<'_>) -> Result<Self, Stopped> {
        let bits = value.bits();
        if bits <= PLAIN {
            let inverse = None;
            return Ok(Self { value, inverse });
        }
        let block = (bits / 2 + 1).next_multiple_of(64);
        let top = &value >> (bits - block);
        let inverse = Some((inverse(&top, block, stop)?, block));
        Ok(Self { value, inverse })
    }

    /// Quotient and remainder of `dividend`, exact: `dividend = quotient * value + remainder`, `remainder < value`.
    ///
    /// # Errors
    /// [`Stopped`] where `stop` says so.
    pub fn div_rem(&self, dividend: &BigUint, stop: Stop<'_>) -> Result<(BigUint, BigUint), Stopped> {
        go_on(stop)?;
        let Some((inverse, block)) = &self.inverse else {
            return Ok(dividend.div_rem(&self.value));
        };
        let bits = self.value.bits();
        let longest = (dividend.bits() + 1).saturating_sub(bits);
        let blocks = longest.div_ceil(*block);
        // Shorter than the divisor, so below it.
        let mut rest = dividend >> (blocks * block);
        let mut quotient = BigUint::ZERO;
        for number in (0..blocks).rev() {
            rest = (rest << *block) + slice(dividend, number * block, *block);
            let estimate = mul(&(&rest >> (bits - 1)), inverse, stop)? >> (block + 1);
            let digit = self.settle(estimate, &mut rest, stop)?;
            quotient = (quotient << *block) + digit;
        }
        Ok((quotient, rest))
    }

    /// The exact quotient of `rest` near `estimate`, leaving the remainder in `rest`. The estimate is off by a few
    /// units: one from each number cut short and a few from the inverse. However far it is off, the result is right.
    fn settle(&self, mut estimate: BigUint, rest: &mut BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
        let mut taken = mul(&estimate, &self.value, stop)?;
        while taken > *rest {
            estimate -= 1u32;
            taken -= &self.value;
        }
        *rest -= taken;
        while *rest >= self.value {
            estimate += 1u32;
            *rest -= &self.value;
        }
        Ok(estimate)
    }
}

/// About `2^(2 bits) / value`, for a value of exactly `bits` bits; off by a few units.
///
/// From an inverse `x` of the top half, Newton's step is `x + x (1 - value x)`. The half is 8 bits longer than needed,
/// which makes the squared error of `x` less than a unit, and leaves only what the cuts lose.
fn inverse(value: &BigUint, bits: u64, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    go_on(stop)?;
    let one = BigUint::from(1u32);
    if bits <= PLAIN {
        return Ok((one << (2 * bits)) / value);
    }
    let half = bits / 2 + 8;
    let short = bits - half;
    let x = inverse(&(value >> short), half, stop)?;
    let unit = one << (bits + half);
    let product = mul(value, &x, stop)?;
    let (above, error) = if product > unit { (true, product - unit) } else { (false, unit - product) };
    let step = mul(&x, &(error >> short), stop)? >> (2 * half - short);
    let x = x << short;
    Ok(if above { x - step } else { x + step })
}
