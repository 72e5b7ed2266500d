//! A number transformed, so that it can meet several others: products and sums of products are made point by point.

use num_bigint::BigUint;

use super::super::report_work;
use super::field::{Residues, ZERO};
use super::instructions::{Baseline, Instructions, with_cpu};
use super::{StopCheck, Stopped, cut, join, leaves, transform};

/// Cutting a number is as much work as this many levels of its transform, and joining it.
const CUT: u64 = 3;
const JOIN: u64 = 10;

/// How numbers are transformed that are to meet.
#[derive(Clone, Copy, Debug)]
pub struct TransformShape {
    instructions: Instructions,
    /// Bits of a piece.
    bits: u32,
    length: usize,
    leaf: usize,
}

impl TransformShape {
    /// For sums of `terms` products, each of factors of at most so many words.
    pub fn of(short: usize, long: usize, terms: usize) -> TransformShape {
        let bits = piece_bits(short * terms);
        let (length, leaf) = transform::length(cut::count(short, bits) + cut::count(long, bits) - 1);
        TransformShape { instructions: Instructions::current(), bits, length, leaf }
    }

    /// For products modulo `2^n - 1` with an n of at least `least`, one factor of at most `short` words, the other of at most
    /// `least` bits.
    pub fn cyclic(short: usize, least: u64) -> TransformShape {
        let bits = piece_bits(short);
        let count = least.div_ceil(u64::from(bits));
        let (length, leaf) = transform::length(usize::try_from(count).unwrap_or(usize::MAX));
        TransformShape { instructions: Instructions::current(), bits, length, leaf }
    }

    /// Words of a transform: four for each coefficient.
    pub fn words(self) -> u64 {
        4 * self.length as u64
    }

    /// Products come modulo `2^n - 1` with this n.
    pub fn modulus(self) -> u64 {
        u64::from(self.bits) * self.length as u64
    }
}

/// The most bits of a piece with which each sum of so many words' products is at most half of the product of all primes, which
/// is above `2^198.99`. They are even, and from 72 to 96.
fn piece_bits(words: usize) -> u32 {
    let fits = |bits: &u32| {
        let count = cut::count(words, *bits).max(1);
        // The logarithm of the count, rounded up.
        2 * bits + (usize::BITS - (count - 1).leading_zeros()) <= 198
    };
    (36..=48).rev().map(|half| 2 * half).find(fits).unwrap_or(72)
}

/// A number transformed.
#[derive(Clone)]
pub struct Spectrum {
    shape: TransformShape,
    values: Vec<Residues>,
}

impl Spectrum {
    /// Transforms a number, which is no longer than its shape is for.
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

    /// Its shape.
    pub fn shape(&self) -> TransformShape {
        self.shape
    }

    /// The transformed product; both are of the same shape.
    pub fn times(mut self, other: &Spectrum, stop: StopCheck<'_>) -> Result<Spectrum, Stopped> {
        let (values, others, leaf) = (&mut self.values, &other.values, self.shape.leaf);
        debug_assert_eq!((values.len(), leaf), (others.len(), other.shape.leaf));
        with_cpu!(self.shape.instructions, cpu => leaves::multiply(cpu, values, Some(others), leaf, stop)?);
        Ok(self)
    }

    /// The transformed square.
    pub fn squared(mut self, stop: StopCheck<'_>) -> Result<Spectrum, Stopped> {
        let (values, leaf) = (&mut self.values, self.shape.leaf);
        with_cpu!(self.shape.instructions, cpu => leaves::multiply(cpu, values, None, leaf, stop)?);
        Ok(self)
    }

    /// The transformed sum of two products.
    pub fn plus(mut self, other: &Spectrum, stop: StopCheck<'_>) -> Result<Spectrum, Stopped> {
        debug_assert_eq!(self.values.len(), other.values.len());
        with_cpu!(self.shape.instructions, cpu => leaves::add_all(cpu, &mut self.values, &other.values, stop)?);
        Ok(self)
    }

    /// The number of what was multiplied.
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
