//! One or two levels of the [`transform`](super::transform) in one pass.
//!
//! In the forward direction residues are at most `3.2 p`, in the backward direction at most p. With the bounds of
//! [`field`](super::field) on products and reductions, each function here preserves these bounds, and every factor of a
//! product is within `4 p`.

use super::field::{Arithmetic, Constant, Residues, add, mul, reduced, sub};

/// The quarters of a part of the data.
pub type Quarters<'a> = [&'a mut [Residues]; 4];

/// Splits a part into its quarters.
pub fn quarters(data: &mut [Residues]) -> Quarters<'_> {
    let half = data.len() / 2;
    let (low, high) = data.split_at_mut(half);
    let ((a, b), (c, d)) = (low.split_at_mut(half / 2), high.split_at_mut(half / 2));
    [a, b, c, d]
}

/// The three factors of a pass of radix 4, for the second, third and fourth quarter, and the root of order 4.
#[derive(Clone, Copy)]
pub struct Radix4Factors {
    second: Constant,
    third: Constant,
    fourth: Constant,
    i: Constant,
}

impl Radix4Factors {
    /// Returns the factors for the constant of node `4 j`, two levels down. The constant of node `2 j`, one level down,
    /// is its square.
    #[inline(always)]
    pub fn of<A: Arithmetic>(two: Residues, i: Constant) -> Radix4Factors {
        let second = Constant::of(two);
        let one = reduced::<A>(mul::<A>(two, &second));
        let fourth = reduced::<A>(mul::<A>(one, &second));
        Radix4Factors { second, third: Constant::of(one), fourth: Constant::of(fourth), i }
    }
}

/// Computes two forward levels.
#[inline(always)]
pub fn split<A: Arithmetic>([a, b, c, d]: Quarters<'_>, by: &Radix4Factors) {
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        let first = reduced::<A>(*a);
        let second = mul::<A>(*b, &by.second);
        let third = mul::<A>(*c, &by.third);
        let fourth = mul::<A>(*d, &by.fourth);
        let (even, odd) = (add(first, third), sub(first, third));
        let sum = add(second, fourth);
        let turned = mul::<A>(sub(second, fourth), &by.i);
        (*a, *b) = (add(even, sum), sub(even, sum));
        (*c, *d) = (add(odd, turned), sub(odd, turned));
    }
}

/// Computes two backward levels: the inverse of [`split`], times 4. The factors are the inverse ones.
#[inline(always)]
pub fn unite<A: Arithmetic>([a, b, c, d]: Quarters<'_>, by: &Radix4Factors) {
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        let (even, sum) = (add(*a, *b), sub(*a, *b));
        let odd = add(*c, *d);
        let turned = mul::<A>(sub(*c, *d), &by.i);
        *a = reduced::<A>(add(even, odd));
        *c = mul::<A>(sub(even, odd), &by.third);
        *b = mul::<A>(add(sum, turned), &by.second);
        *d = mul::<A>(sub(sum, turned), &by.fourth);
    }
}

/// Computes one forward level, for subtrees of an odd number of levels.
#[inline(always)]
pub fn split_one<A: Arithmetic>(a: &mut [Residues], b: &mut [Residues], by: &Constant) {
    for (a, b) in a.iter_mut().zip(b) {
        let (first, second) = (reduced::<A>(*a), mul::<A>(*b, by));
        (*a, *b) = (add(first, second), sub(first, second));
    }
}

/// Computes one backward level: the inverse of [`split_one`], times 2.
#[inline(always)]
pub fn unite_one<A: Arithmetic>(a: &mut [Residues], b: &mut [Residues], by: &Constant) {
    for (a, b) in a.iter_mut().zip(b) {
        (*a, *b) = (reduced::<A>(add(*a, *b)), mul::<A>(sub(*a, *b), by));
    }
}
