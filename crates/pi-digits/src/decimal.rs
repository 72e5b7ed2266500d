//! Decimal text of a fraction, by multiplication alone. The first half of the digits comes from the truncated fraction. The
//! second half comes from the fractional part of the product with a power of ten. (Bernstein, "Scaled remainder trees", 2004,
//! replaces divisions by products in this way.)

use std::io::Write;

use num_bigint::BigUint;

use super::product::{CyclicFactor, slice, square};
use super::{StopCheck, Stopped, WriteError, report_work};

/// Maximum number of digits that are converted word by word.
const LEAF: u64 = 1500;

/// Work of a digit of a leaf, in words of transforms.
const LEAF_WORK: u64 = 6;

/// Work of writing and compressing a digit, in words of transforms.
const WRITING: u64 = 30;

/// Maximum number of digits that are converted in memory and in parallel. Longer texts are written half after half.
const BLOCK: u64 = 1 << 20;

/// Decimal digits that one multiplication gives, and ten to that power.
const AT_ONCE: usize = 19;
const TENS: u64 = 10_u64.pow(AT_ONCE as u32);

/// Words of a fraction in addition to those of its digits. The truncations of all levels change the last bits of the second
/// one. The first one shows if they could have changed a digit.
const SPARE: u64 = 2;

/// Writes the first `digits` decimal digits after the point of `fraction / 2^bits`, which is below 1. The digits are exact.
///
/// # Errors
/// [`WriteError::Stopped`] if `stop` returns true. [`WriteError::Io`] if `out` fails. [`WriteError::Unsettled`] if truncation
/// could have changed a digit: the digits that follow are all 0 or all 9 for the length of two words. The probability is `2^-63`
/// for a fraction without a pattern.
pub fn write_fraction(
    (fraction, bits): (BigUint, u64),
    digits: u64,
    out: &mut dyn Write,
    stop: StopCheck<'_>,
) -> Result<(), WriteError> {
    let scale = PowersOfTen::new(digits, stop)?;
    let top = scale.levels.len();
    let wanted = 64 * words(scale.digits(top));
    let fraction = if wanted >= bits { fraction << (wanted - bits) } else { fraction >> (bits - wanted) };
    let mut left = digits;
    scale.stream(fraction, top, stop, &mut |text| {
        let taken = left.min(text.len() as u64);
        left -= taken;
        // Not longer than the text.
        out.write_all(&text[..taken as usize])
    })
}

/// Returns the words of a fraction with `digits` digits.
fn words(digits: u64) -> u64 {
    // Bits of a digit, rounded up.
    let bits = u128::from(digits) * 3_321_928_095 / 1_000_000_000 + 1;
    u64::try_from(bits.div_ceil(64)).unwrap_or(u64::MAX) + SPARE
}

/// The powers of ten that split fractions. A fraction of a level has twice as many digits as one of the level below.
struct PowersOfTen {
    /// Number of digits of a leaf.
    leaf: u64,
    levels: Vec<Level>,
}

/// Ten to the power of half the digits, as a power of five. The power of two is a shift.
struct Level {
    fives: CyclicFactor,
    exponent: u64,
}

impl PowersOfTen {
    /// Computes the powers for fractions of at least `digits` digits.
    fn new(digits: u64, stop: StopCheck<'_>) -> Result<Self, Stopped> {
        let count = digits.div_ceil(LEAF).max(1).next_power_of_two().ilog2();
        let leaf = digits.div_ceil(1 << count).max(2 * AT_ONCE as u64).next_multiple_of(AT_ONCE as u64);
        let mut scale = Self { leaf, levels: Vec::new() };
        let mut fives = BigUint::from(5u32).pow(u32::try_from(leaf).unwrap_or(u32::MAX));
        for level in 0..count {
            let exponent = leaf << level;
            let above = if level + 1 < count { square(&fives, stop)? } else { BigUint::ZERO };
            // What wraps around is below the bits that are kept.
            let least = 64 * words(2 * exponent) + 128;
            scale
                .levels
                .push(Level { fives: CyclicFactor::new(std::mem::replace(&mut fives, above), least, stop)?, exponent });
        }
        Ok(scale)
    }

    /// Returns the number of digits of a fraction at `level`. Level 0 is a leaf.
    fn digits(&self, level: usize) -> u64 {
        self.leaf << level
    }

    /// Passes the digits of a fraction to `take` in order, in blocks.
    fn stream(
        &self,
        fraction: BigUint,
        level: usize,
        stop: StopCheck<'_>,
        take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), WriteError> {
        if level == 0 || self.digits(level) <= BLOCK {
            let mut text = vec![0; self.digits(level) as usize];
            self.fill(&fraction, level, &mut text, stop)?;
            take(&text)?;
            return Ok(report_work(WRITING * text.len() as u64, stop)?);
        }
        let (first, second) = self.halves(&fraction, level, stop)?;
        drop(fraction);
        self.stream(first, level - 1, stop, take)?;
        self.stream(second, level - 1, stop, take)
    }

    /// Writes the digits of a fraction to `text`, which has their length.
    fn fill(&self, fraction: &BigUint, level: usize, text: &mut [u8], stop: StopCheck<'_>) -> Result<(), WriteError> {
        if level == 0 {
            return leaf(fraction, self.leaf, text, stop);
        }
        let (first, second) = self.halves(fraction, level, stop)?;
        let (front, back) = text.split_at_mut(text.len() / 2);
        let work = || self.fill(&first, level - 1, front, stop);
        let (front, back) = rayon::join(work, || self.fill(&second, level - 1, back, stop));
        front.and(back)
    }

    fn halves(&self, fraction: &BigUint, level: usize, stop: StopCheck<'_>) -> Result<(BigUint, BigUint), Stopped> {
        let Level { fives, exponent } = &self.levels[level - 1];
        let (whole, half) = (64 * words(2 * exponent), 64 * words(*exponent));
        let scaled = fives.times(fraction, stop)?;
        Ok((fraction >> (whole - half), slice(&scaled, whole - half - exponent, half)))
    }
}

/// Converts a short fraction: a multiplication by 10^19 moves 19 digits before the point, repeatedly.
fn leaf(fraction: &BigUint, digits: u64, text: &mut [u8], stop: StopCheck<'_>) -> Result<(), WriteError> {
    let mut fraction: Vec<u64> = fraction.iter_u64_digits().collect();
    fraction.resize(words(digits) as usize, 0);
    let mut left = digits;
    for chunk in text.chunks_exact_mut(AT_ONCE) {
        let mut over = 0;
        for word in &mut fraction {
            let product = u128::from(*word) * u128::from(TENS) + u128::from(over);
            (*word, over) = (product as u64, (product >> 64) as u64);
        }
        left -= AT_ONCE as u64;
        // The remaining digits do not need these words.
        let surplus = fraction.len() - words(left) as usize;
        fraction.drain(..surplus);
        for digit in chunk.iter_mut().rev() {
            *digit = b'0' + (over % 10) as u8;
            over /= 10;
        }
    }
    report_work(LEAF_WORK * digits, stop)?;
    match fraction.last().copied() {
        Some(0 | u64::MAX) | None => Err(WriteError::Unsettled),
        Some(_) => Ok(()),
    }
}
