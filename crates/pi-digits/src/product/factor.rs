//! Products of one number with several others, modulo `2^n - 1`: where a part of a product is known or not wanted, n is as
//! small as the rest, and so is the transform.

use num_bigint::BigUint;

use super::spectrum::{TransformShape, Spectrum};
use super::{StopCheck, Stopped, check_stop, mul, shortest, slice, square, words};

/// A number made ready for products with others.
pub struct CyclicFactor {
    number: BigUint,
    /// None for a short number, whose products are made whole.
    spectrum: Option<Spectrum>,
    modulus: u64,
}

impl CyclicFactor {
    /// For products modulo `2^n - 1` with an n of at least `least`; the number and what it meets have at most `least` bits.
    /// The number should not be the longer one.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn new(number: BigUint, least: u64, stop: StopCheck<'_>) -> Result<CyclicFactor, Stopped> {
        let short = words(&number);
        // The transform is about half as long as that of a whole product.
        if short < shortest() * 4 / 5 {
            let modulus = (number.bits() + least).next_multiple_of(64);
            return Ok(CyclicFactor { number, spectrum: None, modulus });
        }
        let shape = TransformShape::cyclic(short, least);
        let spectrum = Some(Spectrum::of(&number, shape, stop)?);
        Ok(CyclicFactor { number, spectrum, modulus: shape.modulus() })
    }

    /// The product with a number of at most `least` bits, modulo `2^n - 1`: below `2^n`.
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

    /// The square, modulo `2^n - 1`: below `2^n`.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn squared(&self, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
        check_stop(stop)?;
        let Some(spectrum) = &self.spectrum else { return square(&self.number, stop) };
        Ok(folded(spectrum.clone().squared(stop)?.number(stop)?, self.modulus))
    }

    /// `minuend 2^shift` less the product with `other`, where that is known to be smaller than `2^(n - 1)` either way.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn rest(&self, (minuend, shift): (&BigUint, u64), other: &BigUint, stop: StopCheck<'_>) -> Result<Signed, Stopped> {
        let product = self.times(other, stop)?;
        let minuend = folded(minuend << (shift % self.modulus), self.modulus);
        let rest = Signed::difference(minuend, product);
        if rest.size.bits() < self.modulus {
            return Ok(rest);
        }
        let all = (BigUint::from(1u32) << self.modulus) - 1u32;
        Ok(Signed { negative: !rest.negative, size: all - rest.size })
    }

    /// The number itself.
    pub fn into_number(self) -> BigUint {
        self.number
    }
}

/// A whole number with a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Whether it is below 0.
    pub negative: bool,
    /// How far it is from 0.
    pub size: BigUint,
}

impl Signed {
    /// `a - b`.
    pub fn difference(a: BigUint, b: BigUint) -> Signed {
        if a >= b { Signed { negative: false, size: a - b } } else { Signed { negative: true, size: b - a } }
    }

    /// `number` plus this.
    pub fn added_to(&self, number: BigUint) -> BigUint {
        if self.negative { number - &self.size } else { number + &self.size }
    }
}

/// A number below `2^bits` that is the same modulo `2^bits - 1`.
fn folded(mut number: BigUint, bits: u64) -> BigUint {
    while number.bits() > bits {
        number = slice(&number, 0, bits) + (number >> bits);
    }
    number
}
