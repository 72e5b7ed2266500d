//! Transformed numbers. Products and sums of products are computed point by point, so one transform serves several
//! products.

use num_bigint::BigUint;

use super::super::report_work;
use super::field::{Residues, ZERO};
use super::instructions::{Baseline, Instructions, with_cpu};
use super::{StopCheck, Stopped, cut, join, leaves, transform};

/// Work of cutting a number into pieces and of joining them, in levels of its transform.
const CUT: u64 = 3;
const JOIN: u64 = 10;

/// Shape of the transformation of numbers. Factors of one product have the same shape.
#[derive(Clone, Copy, Debug)]
pub struct TransformShape {
    instructions: Instructions,
    /// Bits per piece.
    bits: u32,
    length: usize,
    leaf: usize,
}

impl TransformShape {
    /// Returns the shape for sums of `terms` products of factors of at most `short` and `long` words.
    pub fn of(short: usize, long: usize, terms: usize) -> TransformShape {
        let bits = piece_bits(short * terms);
        let (length, leaf) = transform::length(cut::count(short, bits) + cut::count(long, bits) - 1);
        TransformShape { instructions: Instructions::current(), bits, length, leaf }
    }

    /// Returns the shape for products modulo `2^n - 1` with n of at least `least`. One factor has at most `short`
    /// words, the other at most `least` bits.
    pub fn cyclic(short: usize, least: u64) -> TransformShape {
        let bits = piece_bits(short);
        let count = least.div_ceil(u64::from(bits));
        let (length, leaf) = transform::length(usize::try_from(count).unwrap_or(usize::MAX));
        TransformShape { instructions: Instructions::current(), bits, length, leaf }
    }

    /// Returns the words of a transform: four per coefficient.
    pub fn words(self) -> u64 {
        4 * self.length as u64
    }

    /// Returns n: products are modulo `2^n - 1`.
    pub fn modulus(self) -> u64 {
        u64::from(self.bits) * self.length as u64
    }
}

/// Returns the maximum bits per piece, an even number from 72 to 96. With it, each sum of products is at most half of
/// the product of all primes, which is more than `2^198.99`.
fn piece_bits(words: usize) -> u32 {
    let fits = |bits: &u32| {
        let count = cut::count(words, *bits).max(1);
        // The logarithm of the count, rounded up.
        2 * bits + (usize::BITS - (count - 1).leading_zeros()) <= 198
    };
    (36..=48).rev().map(|half| 2 * half).find(fits).unwrap_or(72)
}

/// A transformed number.
#[derive(Clone)]
pub struct Spectrum {
    shape: TransformShape,
    values: Vec<Residues>,
}

impl Spectrum {
    /// Transforms a number that is at most as long as the shape allows.
    pub fn of(number: &BigUint, shape: TransformShape, stop: StopCheck<'_>) -> Result<Spectrum, Stopped> {
        let mut values = vec![ZERO; shape.length];
        let words: Vec<u64> = number.iter_u64_digits().collect();
        debug_assert!(words.len() as u64 * 64 < shape.modulus() + 64);
        with_cpu!(shape.instructions, cpu => {
            cut::cut(cpu, &words, shape.bits, &mut values);
            drop(words);
            report_work(CUT * shape.words(), stop)?;
            transform::forward(cpu, &mut values, shape.leaf, stop)?;
        });
        Ok(Spectrum { shape, values })
    }

    /// Returns the shape.
    pub fn shape(&self) -> TransformShape {
        self.shape
    }

    /// Returns the transformed product. Both have the same shape.
    pub fn times(mut self, other: &Spectrum, stop: StopCheck<'_>) -> Result<Spectrum, Stopped> {
        let (values, others, leaf) = (&mut self.values, &other.values, self.shape.leaf);
        debug_assert_eq!((values.len(), leaf), (others.len(), other.shape.leaf));
        with_cpu!(self.shape.instructions, cpu => leaves::multiply(cpu, values, Some(others), leaf, stop)?);
        Ok(self)
    }

    /// Returns the transformed square.
    pub fn squared(mut self, stop: StopCheck<'_>) -> Result<Spectrum, Stopped> {
        let (values, leaf) = (&mut self.values, self.shape.leaf);
        with_cpu!(self.shape.instructions, cpu => leaves::multiply(cpu, values, None, leaf, stop)?);
        Ok(self)
    }

    /// Returns the transformed sum of two products.
    pub fn plus(mut self, other: &Spectrum, stop: StopCheck<'_>) -> Result<Spectrum, Stopped> {
        debug_assert_eq!(self.values.len(), other.values.len());
        with_cpu!(self.shape.instructions, cpu => leaves::add_all(cpu, &mut self.values, &other.values, stop)?);
        Ok(self)
    }

    /// Computes the inverse transform and returns the number.
    pub fn number(mut self, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
        let TransformShape { instructions, bits, length, leaf } = self.shape;
        with_cpu!(instructions, cpu => {
            transform::backward(cpu, &mut self.values, leaf, stop)?;
            let number = join::join(cpu, &self.values, bits, (length / leaf).trailing_zeros());
            report_work(JOIN * self.shape.words(), stop)?;
            Ok(number)
        })
    }
}
