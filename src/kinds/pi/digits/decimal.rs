//! Large numbers as decimal text: halved by powers of ten, in order, to a writer.

use std::io::Write;

use num_bigint::BigUint;

use super::divide::Divisor;
use super::product::square;
use super::root::power;
use super::{Stop, Stopped, WriteError, both, go_on};

/// Numbers up to this many digits are left to num-bigint.
const LEAF: u64 = 1500;

/// Numbers up to this many digits become text in memory, side by side; longer ones are written half after half.
const BLOCK: u64 = 1 << 20;

/// Writes `value` with exactly `digits` decimal digits, filled up with zeros in front.
///
/// `value` has to be below `10^digits`: of a larger one the digits in front are lost.
///
/// # Errors
/// [`WriteError::Stopped`] where `stop` says so, [`WriteError::Io`] where `out` refuses.
pub fn write_decimal(value: BigUint, digits: u64, out: &mut dyn Write, stop: Stop<'_>) -> Result<(), WriteError> {
    let scale = Scale::new(digits, stop)?;
    let mut zeros = scale.digits(scale.powers.len()) - digits;
    scale.stream(value, scale.powers.len(), stop, &mut |text| {
        // No more than the text is long.
        let skipped = zeros.min(text.len() as u64);
        zeros -= skipped;
        out.write_all(&text[skipped as usize..])
    })
}

/// A power of ten: a power of five, made ready for division, and its exponent; the twos are shifts.
struct Power {
    fives: Divisor,
    exponent: u64,
}

/// The powers of ten by which numbers are halved: the one at `level` has twice the digits of the one below it.
struct Scale {
    leaf: u64,
    powers: Vec<Power>,
}

impl Scale {
    /// For numbers of at least `digits` digits.
    fn new(digits: u64, stop: Stop<'_>) -> Result<Self, Stopped> {
        let levels = digits.div_ceil(LEAF).max(1).next_power_of_two().ilog2();
        let leaf = digits.div_ceil(1 << levels).max(1);
        let mut powers = Vec::new();
        let mut fives = if levels > 0 { power(5, leaf, stop)? } else { BigUint::ZERO };
        for level in 0..levels {
            let above = if level + 1 < levels { square(&fives, stop)? } else { BigUint::ZERO };
            let exponent = leaf << level;
            let fives = Divisor::new(std::mem::replace(&mut fives, above), stop)?;
            powers.push(Power { fives, exponent });
        }
        Ok(Self { leaf, powers })
    }

    /// Digits of a number at `level`: 0 is a leaf.
    fn digits(&self, level: usize) -> u64 {
        self.leaf << level
    }

    /// Hands the digits of `value` to `take`, in order, in blocks.
    fn stream(
        &self,
        value: BigUint,
        level: usize,
        stop: Stop<'_>,
        take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), WriteError> {
        go_on(stop)?;
        if level == 0 || self.digits(level) <= BLOCK {
            return Ok(take(&self.text(&value, level, stop)?)?);
        }
        let (high, low) = self.powers[level - 1].split(&value, stop)?;
        drop(value);
        self.stream(high, level - 1, stop, take)?;
        self.stream(low, level - 1, stop, take)
    }

    /// The digits of `value`, with zeros in front.
    fn text(&self, value: &BigUint, level: usize, stop: Stop<'_>) -> Result<Vec<u8>, Stopped> {
        go_on(stop)?;
        if level == 0 {
            let width = self.leaf as usize; // At most 1500.
            return Ok(format!("{:0>width$}", value.to_str_radix(10)).into_bytes());
        }
        let (high, low) = self.powers[level - 1].split(value, stop)?;
        let (mut high, low) = both(|| self.text(&high, level - 1, stop), || self.text(&low, level - 1, stop))?;
        high.extend_from_slice(&low);
        Ok(high)
    }
}

impl Power {
    /// Quotient and remainder of `value` by this power of ten.
    fn split(&self, value: &BigUint, stop: Stop<'_>) -> Result<(BigUint, BigUint), Stopped> {
        let halved = value >> self.exponent;
        let (quotient, rest) = self.fives.div_rem(&halved, stop)?;
        let below = value - (halved << self.exponent);
        Ok((quotient, (rest << self.exponent) + below))
    }
}
