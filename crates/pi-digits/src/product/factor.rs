//! Products of one number with several others, modulo `2^n - 1`. If a part of a product is known or not needed, n and
//! the transform are only as long as the rest.

use num_bigint::BigUint;

use super::spectrum::{Spectrum, TransformShape};
use super::{StopCheck, Stopped, check_stop, mul, shortest, slice, square, words};

/// A number prepared for products with others.
pub struct CyclicFactor {
    number: BigUint,
    /// None for a short number, whose products are computed in full.
    spectrum: Option<Spectrum>,
    modulus: u64,
}

impl CyclicFactor {
    /// Prepares for products modulo `2^n - 1` with n of at least `least`. The number and the other factors have at most
    /// `least` bits. The number should not be the longer factor.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn new(number: BigUint, least: u64, stop: StopCheck<'_>) -> Result<CyclicFactor, Stopped> {
        let short = words(&number);
        // The transform is about half as long as that of a full product.
        if short < shortest() * 4 / 5 {
            let modulus = (number.bits() + least).next_multiple_of(64);
            return Ok(CyclicFactor { number, spectrum: None, modulus });
        }
        let shape = TransformShape::cyclic(short, least);
        let spectrum = Some(Spectrum::of(&number, shape, stop)?);
        Ok(CyclicFactor { number, spectrum, modulus: shape.modulus() })
    }

    /// Returns the product with a number of at most `least` bits, modulo `2^n - 1` and below `2^n`.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn times(&self, other: &BigUint, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
        check_stop(stop)?;
        let Some(spectrum) = &self.spectrum else { return mul(&self.number, other, stop) };
        let shape = spectrum.shape();
        let product = Spectrum::of(other, shape, stop)?.times(spectrum, stop)?.number(stop)?;
        Ok(folded(product, self.modulus))
    }

    /// Returns the square modulo `2^n - 1`, below `2^n`.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn squared(&self, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
        check_stop(stop)?;
        let Some(spectrum) = &self.spectrum else { return square(&self.number, stop) };
        Ok(folded(spectrum.clone().squared(stop)?.number(stop)?, self.modulus))
    }

    /// Returns `minuend 2^shift` minus the product with `other`. Its absolute value must be less than `2^(n - 1)`.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn rest(
        &self,
        (minuend, shift): (&BigUint, u64),
        other: &BigUint,
        stop: StopCheck<'_>,
    ) -> Result<Signed, Stopped> {
        let product = self.times(other, stop)?;
        let minuend = folded(minuend << (shift % self.modulus), self.modulus);
        let rest = Signed::difference(minuend, product);
        if rest.size.bits() < self.modulus {
            return Ok(rest);
        }
        let all = (BigUint::from(1u32) << self.modulus) - 1u32;
        Ok(Signed { negative: !rest.negative, size: all - rest.size })
    }

    /// Returns the number.
    pub fn into_number(self) -> BigUint {
        self.number
    }
}

/// An integer with a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// True if it is less than 0.
    pub negative: bool,
    /// Absolute value.
    pub size: BigUint,
}

impl Signed {
    /// Returns `a - b`.
    pub fn difference(a: BigUint, b: BigUint) -> Signed {
        if a >= b { Signed { negative: false, size: a - b } } else { Signed { negative: true, size: b - a } }
    }

    /// Returns the sum with `number`.
    pub fn added_to(&self, number: BigUint) -> BigUint {
        if self.negative { number - &self.size } else { number + &self.size }
    }
}

/// Reduces a number modulo `2^bits - 1`, to below `2^bits`.
fn folded(mut number: BigUint, bits: u64) -> BigUint {
    while number.bits() > bits {
        number = slice(&number, 0, bits) + (number >> bits);
    }
    number
}
