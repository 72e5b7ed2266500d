//! Multiplies and adds transformed numbers leaf by leaf. Each leaf is a polynomial modulo `x^leaf - c` or `x^leaf + c`.

use super::super::{StopCheck, Stopped, join_both, report_work};
use super::constants::DOWN;
use super::field::{Arithmetic, Constant, Residues, ZERO, add, mul, reduced, sub};
use super::instructions::Cpu;
use super::transform::ALONE;

/// Leaves that are multiplied between two checks for a stop.
const LEAVES_ALONE: usize = 1 << 9;

/// Work of a product of leaves, in levels of a transform.
const LEVELS: u64 = 7;

/// Replaces each leaf of `a` by its product with that of `b`, or by its square.
pub fn multiply<C: Cpu>(
    cpu: C,
    a: &mut [Residues],
    b: Option<&[Residues]>,
    leaf: usize,
    stop: StopCheck<'_>,
) -> Result<(), Stopped> {
    match leaf {
        4 => products::<C, 4>(cpu, a, b, 0, stop),
        5 => products::<C, 5>(cpu, a, b, 0, stop),
        6 => products::<C, 6>(cpu, a, b, 0, stop),
        _ => products::<C, 7>(cpu, a, b, 0, stop),
    }
}

/// Does the same for the leaves from number `first` on, which is even.
fn products<C: Cpu, const LEAF: usize>(
    cpu: C,
    a: &mut [Residues],
    b: Option<&[Residues]>,
    first: usize,
    stop: StopCheck<'_>,
) -> Result<(), Stopped> {
    let count = a.len() / LEAF;
    if count > LEAVES_ALONE {
        let (half, cut) = (first + count / 2, count / 2 * LEAF);
        let ((a, c), parts) = (a.split_at_mut(cut), b.map(|b| b.split_at(cut)));
        let (b, d) = parts.unzip();
        return join_both(
            || products::<C, LEAF>(cpu, a, b, first, stop),
            || products::<C, LEAF>(cpu, c, d, half, stop),
        )
        .map(|_| ());
    }
    cpu.run(|| leaves::<C::Arithmetic, LEAF>(a, b, first));
    report_work(4 * LEVELS * (count * LEAF) as u64, stop)
}

#[inline(always)]
fn leaves<A: Arithmetic, const LEAF: usize>(a: &mut [Residues], b: Option<&[Residues]>, first: usize) {
    let run = DOWN.run(first / 2);
    let (leaves, _) = a.as_chunks_mut::<LEAF>();
    let others = b.map(|b| b.as_chunks::<LEAF>().0);
    for (offset, leaf) in leaves.iter_mut().enumerate() {
        let constant = run.at::<A>(offset / 2);
        let constant = Constant::of(if offset % 2 == 0 { constant } else { sub(ZERO, constant) });
        let other = others.map_or(*leaf, |others| others[offset]);
        *leaf = product::<A, LEAF>(leaf, &other, &constant);
    }
}

/// Returns the product of two polynomials modulo `x^LEAF - constant`. Each product is at most `9/16 p`, so the sum of
/// all is at most `4 p` before the constant and at most `5 p` after it.
#[inline(always)]
fn product<A: Arithmetic, const LEAF: usize>(
    a: &[Residues; LEAF],
    b: &[Residues; LEAF],
    constant: &Constant,
) -> [Residues; LEAF] {
    let (mut first, mut second) = ([ZERO; LEAF], [*constant; LEAF]);
    for i in 0..LEAF {
        first[i] = reduced::<A>(a[i]);
        second[i] = Constant::of(reduced::<A>(b[i]));
    }
    let mut product = [ZERO; LEAF];
    for k in 0..LEAF {
        let (mut low, mut high) = (ZERO, ZERO);
        for i in 0..LEAF {
            if i <= k {
                low = add(low, mul::<A>(first[i], &second[k - i]));
            } else {
                high = add(high, mul::<A>(first[i], &second[LEAF + k - i]));
            }
        }
        product[k] = reduced::<A>(add(low, mul::<A>(high, constant)));
    }
    product
}

/// Adds `b` to `a`.
pub fn add_all<C: Cpu>(cpu: C, a: &mut [Residues], b: &[Residues], stop: StopCheck<'_>) -> Result<(), Stopped> {
    if a.len() > ALONE {
        let half = a.len() / 2;
        let ((a, c), (b, d)) = (a.split_at_mut(half), b.split_at(half));
        return join_both(|| add_all(cpu, a, b, stop), || add_all(cpu, c, d, stop)).map(|_| ());
    }
    cpu.run(|| {
        for (a, b) in a.iter_mut().zip(b) {
            *a = reduced::<C::Arithmetic>(add(*a, *b));
        }
    });
    report_work(4 * a.len() as u64, stop)
}
