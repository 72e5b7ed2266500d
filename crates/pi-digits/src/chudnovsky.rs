//! Chudnovsky's series by binary splitting.
//!
//! `1/pi = 12 / 640320^(3/2) * sum over k of (-1)^k (6k)! (13591409 + 545140134 k) / ((3k)! (k!)^3 640320^(3k))`.
//! A range of terms is three whole numbers, a [`Triple`]; neighbours are joined by four products.

use std::f64::consts::LOG10_E;
use std::ops::Range;

use num_bigint::BigUint;

use super::product::{TransformShape, Spectrum, mul, shortest, words};
use super::{StopCheck, Stopped, join_both, check_stop};

/// `640320^3 / 24`.
const CUBE: u64 = 10_939_058_860_032_000;

/// Digits computed behind the last one wanted.
const GUARD: u32 = 20;

/// Ranges up to this many terms are summed one by one.
const LEAF: u64 = 12;

/// Transforms of up to this many words are made side by side; longer ones keep all cores busy by themselves.
const SIDE_BY_SIDE: u64 = 1 << 18;

/// A part has at least this many terms: below, saving it would cost more than computing it.
const SMALLEST_PART: u64 = 16_000;

/// The series for a number of digits: how many terms, and how they are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    digits: u32,
    guard: u32,
}

/// The sum over a range of terms `a..b`, without fractions.
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
    /// The series for `digits` decimals, with 20 digits to spare; see [`super::PiValue::of`] for why that is enough.
    pub fn new(digits: u32) -> Self {
        let guard = GUARD;
        Self { digits, guard }
    }

    /// The same with `guard` digits to spare, at least 2.
    pub fn with_guard(digits: u32, guard: u32) -> Self {
        let guard = guard.max(2);
        Self { digits, guard }
    }

    /// The same with twice as many digits to spare, for the case that they did not settle the last digit.
    pub fn wider(self) -> Self {
        Self::with_guard(self.digits, self.guard.saturating_mul(2))
    }

    /// Decimals wanted.
    pub fn digits(self) -> u32 {
        self.digits
    }

    /// Decimals computed behind those wanted.
    pub fn guard(self) -> u32 {
        self.guard
    }

    /// Decimals computed: those wanted and those to spare.
    pub fn scale(self) -> u64 {
        u64::from(self.digits) + u64::from(self.guard)
    }

    /// Terms to sum, so that what is left out is below a hundredth of a unit of the last decimal computed.
    ///
    /// `(6k)! / ((3k)! (k!)^3)` is at most `1728^k`, so term n is at most `(1 + 41 n) (1728 / 640320^3)^n` of the first,
    /// and `1728 / 640320^3 < 10^-14.18`. The terms alternate and shrink: the rest is below the first term left out. For
    /// n below 10^9, `pi (1 + 41 n) < 10^13`, so `14.18 n > scale + 16` is enough.
    pub fn terms(self) -> u64 {
        (self.scale() + 16) * 50 / 709 + 1
    }

    /// The terms cut into at most `at_most` parts (a power of two of them) of about equal work, without gaps.
    pub fn parts(self, at_most: usize) -> Vec<Range<u64>> {
        let terms = self.terms();
        let most = u64::try_from(at_most.max(1)).unwrap_or(u64::MAX);
        let count = 1 << (terms / SMALLEST_PART).clamp(1, most).ilog2();
        let cuts: Vec<u64> = (0..=count).map(|n| self.cut(n, count)).collect();
        cuts.windows(2).map(|ends| ends[0]..ends[1]).collect()
    }

    /// The term before which `n / count` of the length of the whole product `q` lies.
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

    /// The triple of a range of terms; an empty range is that of the factor 1 and the sum 0.
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

    /// The triple of two neighbouring ranges, `left` before `right`.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true.
    ///
    /// # Panics
    /// Where `right` does not start where `left` ends.
    pub fn join(self, left: Triple, right: Triple, stop: StopCheck<'_>) -> Result<Triple, Stopped> {
        assert_eq!(left.range.end, right.range.start, "neighbouring ranges");
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
    /// The terms it sums.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// A few terms, one after the other.
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

/// Joins triples of long numbers, the left one of an even number of terms: each number is transformed once for all the products
/// that it is in, and `t` once for both of its own.
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
    let side_by_side = shape.words() <= SIDE_BY_SIDE;

    let (right_t, left_p) = pair(side_by_side, || of(&right.t), || of(&left.p))?;
    let second = right_t.times(&left_p, stop)?;
    drop((right.t, left_p));
    let (right_q, left_t) = pair(side_by_side, || of(&right.q), || of(&left.t))?;
    let t = left_t.times(&right_q, stop)?.plus(&second, stop)?;
    drop((right.q, left.t, second));
    let p = || if needs_p { mul(&left.p, &right.p, stop) } else { Ok(BigUint::ZERO) };
    let (left_q, p) = pair(side_by_side, || of(&left.q), p)?;
    let q = right_q.times(&left_q, stop)?;
    drop((left.q, left.p, right.p, left_q));
    let (t, q) = pair(side_by_side, || t.number(stop), || q.number(stop))?;
    Ok(Triple { range, p, q, t })
}

/// Both results, side by side or, as that takes less memory, one after the other.
fn pair<A: Send, B: Send>(
    side_by_side: bool,
    left: impl FnOnce() -> Result<A, Stopped> + Send,
    right: impl FnOnce() -> Result<B, Stopped> + Send,
) -> Result<(A, B), Stopped> {
    if side_by_side { join_both(left, right) } else { Ok((left()?, right()?)) }
}

/// Decimal digits of the product of `q(k)` over all k below `terms`, about (Stirling).
pub(super) fn length(terms: u64) -> f64 {
    let n = terms.max(1) as f64;
    16.04 * n + 3.0 * (n * n.log10() - LOG10_E * n)
}
