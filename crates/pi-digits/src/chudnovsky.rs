//! Chudnovsky's series by binary splitting.
//!
//! `1/pi = 12 / 640320^(3/2) * sum over k of (-1)^k (6k)! (13591409 + 545140134 k) / ((3k)! (k!)^3 640320^(3k))`.
//! The sum over a range of terms is a [`Triple`] of integers. Four products join two neighbours.

use std::f64::consts::LOG10_E;
use std::ops::Range;

use num_bigint::BigUint;

use super::product::{Spectrum, TransformShape, mul, shortest, words};
use super::{StopCheck, Stopped, check_stop, join_both};

/// `640320^3 / 24`.
const CUBE: u64 = 10_939_058_860_032_000;

/// Default number of digits computed in addition to those requested.
const GUARD: u32 = 20;

/// Maximum number of terms that are summed one by one.
const LEAF: u64 = 12;

/// Maximum words of transforms that are computed in parallel. Each longer one uses all cores alone.
const MAX_PARALLEL: u64 = 1 << 18;

/// Minimum number of terms of a part. Saving a smaller one would cost more than computing it.
const SMALLEST_PART: u64 = 16_000;

/// Chudnovsky's series for a number of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    digits: u32,
    guard: u32,
}

/// The sum over a range of terms, as integers.
///
/// With `p(k) = (6k-5)(2k-1)(6k-1)` and `q(k) = k^3 640320^3 / 24` (both 1 for k = 0): `p` and `q` are the products of
/// these, and `t / q` is the sum with its first sign taken as plus. As each term is far smaller than the one before it,
/// `t` is then never negative. `p` serves only what follows, so it is 0 where the range ends the series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triple {
    pub(super) range: Range<u64>,
    pub(super) p: BigUint,
    pub(super) q: BigUint,
    pub(super) t: BigUint,
}

impl Series {
    /// Returns the series for `digits` decimals, computed with 20 additional digits. [`super::PiValue::of`] says why these suffice.
    pub fn new(digits: u32) -> Self {
        let guard = GUARD;
        Self { digits, guard }
    }

    /// Returns the series for `digits` decimals, computed with `guard` additional digits, at least 2.
    pub fn with_guard(digits: u32, guard: u32) -> Self {
        let guard = guard.max(2);
        Self { digits, guard }
    }

    /// Returns the series with twice as many additional digits, for a retry after `WriteError::Unsettled`.
    pub fn wider(self) -> Self {
        Self::with_guard(self.digits, self.guard.saturating_mul(2))
    }

    /// Returns the number of requested decimals.
    pub fn digits(self) -> u32 {
        self.digits
    }

    /// Returns the number of additional decimals.
    pub fn guard(self) -> u32 {
        self.guard
    }

    /// Returns the number of computed decimals.
    pub fn scale(self) -> u64 {
        u64::from(self.digits) + u64::from(self.guard)
    }

    /// Returns the number of terms to sum. The remainder is below a hundredth of a unit of the last computed decimal.
    ///
    /// `(6k)! / ((3k)! (k!)^3)` is at most `1728^k`, so term n is at most `(1 + 41 n) (1728 / 640320^3)^n` of the first,
    /// and `1728 / 640320^3 < 10^-14.18`. The terms alternate and shrink: the rest is below the first term left out. For
    /// n below 10^9, `pi (1 + 41 n) < 10^13`, so `14.18 n > scale + 16` is enough.
    pub fn terms(self) -> u64 {
        (self.scale() + 16) * 50 / 709 + 1
    }

    /// Splits the terms into at most `at_most` adjacent parts of about equal work. Their number is a power of two.
    pub fn parts(self, at_most: usize) -> Vec<Range<u64>> {
        let terms = self.terms();
        let most = u64::try_from(at_most.max(1)).unwrap_or(u64::MAX);
        let count = 1 << (terms / SMALLEST_PART).clamp(1, most).ilog2();
        let cuts: Vec<u64> = (0..=count).map(|n| self.cut(n, count)).collect();
        cuts.windows(2).map(|ends| ends[0]..ends[1]).collect()
    }

    /// Returns the term before which `n / count` of the digits of the complete product `q` lie.
    fn cut(self, n: u64, count: u64) -> u64 {
        let wanted = length(self.terms()) * n as f64 / count as f64;
        let (mut low, mut high) = (0, self.terms());
        while low < high {
            let middle = u64::midpoint(low, high);
            if length(middle) < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if n == count { self.terms() } else { low / 2 * 2 }
    }

    /// Computes the triple of a range of terms. An empty range has the factor 1 and the sum 0.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    pub fn part(self, range: Range<u64>, stop: StopCheck<'_>) -> Result<Triple, Stopped> {
        check_stop(stop)?;
        if range.end.saturating_sub(range.start) <= LEAF {
            return Ok(Triple::summed(range));
        }
        // An even number of terms to the left: see [`joined`].
        let middle = range.start + (range.end - range.start) / 4 * 2;
        let (left, right) = join_both(|| self.part(range.start..middle, stop), || self.part(middle..range.end, stop))?;
        self.join(left, right, stop)
    }

    /// Computes the triple of two adjacent ranges, `left` before `right`.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    ///
    /// # Panics
    /// If `right` does not start where `left` ends.
    pub fn join(self, left: Triple, right: Triple, stop: StopCheck<'_>) -> Result<Triple, Stopped> {
        assert_eq!(left.range.end, right.range.start, "ranges are adjacent");
        let range = left.range.start..right.range.end;
        let odd = !(left.range.end - left.range.start).is_multiple_of(2);
        let needs_p = range.end < self.terms();
        if !odd && [&left.q, &right.q, &left.t, &right.t].into_iter().all(|number| words(number) >= shortest()) {
            return joined((left, right), needs_p, range, stop);
        }
        let p = || if needs_p { mul(&left.p, &right.p, stop) } else { Ok(BigUint::ZERO) };
        let products = || join_both(p, || mul(&left.q, &right.q, stop));
        let sums = || join_both(|| mul(&left.t, &right.q, stop), || mul(&left.p, &right.t, stop));
        let ((p, q), (first, second)) = join_both(products, sums)?;
        let t = if odd { first - second } else { first + second };
        Ok(Triple { range, p, q, t })
    }
}

impl Triple {
    /// Returns the terms that it sums.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Sums a few terms one by one.
    fn summed(range: Range<u64>) -> Self {
        let mut p = BigUint::from(1u32);
        let mut q = p.clone();
        let mut t = BigUint::ZERO;
        for k in range.clone() {
            if k > 0 {
                // Below 72 k^3, and k is below 10^9.
                let k = u128::from(k);
                p *= (6 * k - 5) * (2 * k - 1) * (6 * k - 1);
                q = q * (k * k * k) * CUBE;
                t = t * (k * k * k) * CUBE;
            }
            let term = &p * (13_591_409 + 545_140_134 * u128::from(k));
            if (k - range.start).is_multiple_of(2) {
                t += term;
            } else {
                t -= term;
            }
        }
        Self { range, p, q, t }
    }
}

/// Joins triples of long numbers. The left one has an even number of terms. Each number is transformed once for all of its
/// products, and `t` is transformed back once for both of its products.
fn joined(
    (left, right): (Triple, Triple),
    needs_p: bool,
    range: Range<u64>,
    stop: StopCheck<'_>,
) -> Result<Triple, Stopped> {
    let pairs = [(&left.q, &right.q), (&left.t, &right.q), (&left.p, &right.t)].map(|(a, b)| (words(a), words(b)));
    let short = pairs.iter().map(|(a, b)| *a.min(b)).max().unwrap_or(0);
    let whole = pairs.iter().map(|(a, b)| a + b).max().unwrap_or(0);
    let shape = TransformShape::of(short, whole - short, 2);
    let of = |number: &BigUint| Spectrum::of(number, shape, stop);
    let parallel = shape.words() <= MAX_PARALLEL;

    let (right_t, left_p) = pair(parallel, || of(&right.t), || of(&left.p))?;
    let second = right_t.times(&left_p, stop)?;
    drop((right.t, left_p));
    let (right_q, left_t) = pair(parallel, || of(&right.q), || of(&left.t))?;
    let t = left_t.times(&right_q, stop)?.plus(&second, stop)?;
    drop((right.q, left.t, second));
    let p = || if needs_p { mul(&left.p, &right.p, stop) } else { Ok(BigUint::ZERO) };
    let (left_q, p) = pair(parallel, || of(&left.q), p)?;
    let q = right_q.times(&left_q, stop)?;
    drop((left.q, left.p, right.p, left_q));
    let (t, q) = pair(parallel, || t.number(stop), || q.number(stop))?;
    Ok(Triple { range, p, q, t })
}

/// Runs both in parallel, or one after the other, which needs less memory.
fn pair<A: Send, B: Send>(
    parallel: bool,
    left: impl FnOnce() -> Result<A, Stopped> + Send,
    right: impl FnOnce() -> Result<B, Stopped> + Send,
) -> Result<(A, B), Stopped> {
    if parallel { join_both(left, right) } else { Ok((left()?, right()?)) }
}

/// Estimates the decimal digits of the product of `q(k)` for all k below `terms` (Stirling).
pub(super) fn length(terms: u64) -> f64 {
    let n = terms.max(1) as f64;
    16.04 * n + 3.0 * (n * n.log10() - LOG10_E * n)
}
