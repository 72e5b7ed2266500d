//! A number transformed, so that it can meet several others: products and sums of products are made point by point.

use num_bigint::BigUint;

use super::field::P;
use super::{Stop, Stopped, pieces, transform};

/// How numbers are transformed that are to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bits of a piece.
    bits: u32,
    length: usize,
    leaf: usize,
}

impl Shape {
    /// For sums of `terms` products, each of factors of at most so many words.
    pub fn of(short: usize, long: usize, terms: usize) -> Shape {
        let bits = piece_bits(short * terms);
        let (length, leaf) = transform::length(pieces::count(short, bits) + pieces::count(long, bits) - 1);
        Shape { bits, length, leaf }
    }

    /// For products modulo `2^n - 1` with an n of at least `least`, one factor of at most `short` words, the other of at most
    /// `least` bits.
    pub fn cyclic(short: usize, least: u64) -> Shape {
        let bits = piece_bits(short);
        let count = least.div_ceil(u64::from(bits));
        let (length, leaf) = transform::length(usize::try_from(count).unwrap_or(usize::MAX));
        Shape { bits, length, leaf }
    }

    /// Words of a transform.
    pub fn length(self) -> usize {
        self.length
    }

    /// Products come modulo `2^n - 1` with this n.
    pub fn modulus(self) -> u64 {
        u64::from(self.bits) * self.length as u64
    }
}

/// The most bits of a piece with which each sum of so many words' products stays below the prime.
fn piece_bits(words: usize) -> u32 {
    let fits = |bits: &u32| {
        let most = u128::from((1u64 << bits) - 1);
        most * most * (pieces::count(words, *bits) as u128) < u128::from(P)
    };
    (1..32).rev().find(fits).unwrap_or(1)
}

/// A number transformed.
#[derive(Clone)]
pub struct Spectrum {
    shape: Shape,
    values: Vec<u64>,
}

impl Spectrum {
    /// Transforms a number, which is no longer than its shape is for.
    pub fn of(number: &BigUint, shape: Shape, stop: Stop<'_>) -> Result<Spectrum, Stopped> {
        let mut values = vec![0; shape.length];
        let words: Vec<u64> = number.iter_u64_digits().collect();
        debug_assert!(words.len() as u64 * 64 < shape.modulus() + 64);
        pieces::cut(&words, shape.bits, &mut values);
        drop(words);
        transform::forward(&mut values, shape.leaf, stop)?;
        Ok(Spectrum { shape, values })
    }

    /// Its shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The transformed product; both are of the same shape.
    pub fn times(mut self, other: &Spectrum, stop: Stop<'_>) -> Result<Spectrum, Stopped> {
        debug_assert_eq!(self.shape, other.shape);
        transform::multiply(&mut self.values, Some(&other.values), self.shape.leaf, stop)?;
        Ok(self)
    }

    /// The transformed square.
    pub fn squared(mut self, stop: Stop<'_>) -> Result<Spectrum, Stopped> {
        transform::multiply(&mut self.values, None, self.shape.leaf, stop)?;
        Ok(self)
    }

    /// The transformed sum of two products.
    pub fn plus(mut self, other: &Spectrum, stop: Stop<'_>) -> Result<Spectrum, Stopped> {
        debug_assert_eq!(self.shape, other.shape);
        transform::add_all(&mut self.values, &other.values, stop)?;
        Ok(self)
    }

    /// The number of what was multiplied.
    pub fn number(mut self, stop: Stop<'_>) -> Result<BigUint, Stopped> {
        transform::backward(&mut self.values, self.shape.leaf, stop)?;
        Ok(pieces::join(&self.values, self.shape.bits))
    }
}
