//! The number-theoretic transform, as a tree of remainders. A polynomial modulo `x^(2h) - c^2` is split into its
//! remainders modulo `x^h - c` and `x^h + c`. That begins with `x^n - 1` and ends with polynomials of [`LEAVES`]
//! coefficients, which are multiplied directly. (Bernstein, "Multidigit multiplication for mathematicians", 2001, sections 3 and 4.) No bit
//! reversal is needed: node `j` of a level has the children `2j` and `2j + 1`, and its constant depends on `j` alone.
//!
//! Two levels are computed in one pass (radix 4). Subtrees that fit a core's cache are computed one after the other.
//! Above them all cores share each pass, and the stop is checked between passes.

use super::super::{StopCheck, Stopped, join_both, report_work};
use super::butterflies::{Quarters, Radix4Factors, quarters, split, split_one, unite, unite_one};
use super::constants::{DOWN, UP};
use super::field::{Arithmetic, Constant, Residues};
use super::instructions::Cpu;

/// Coefficients of the polynomials that are multiplied directly. With these sizes, the next length is at most a quarter
/// longer.
const LEAVES: [usize; 4] = [4, 5, 6, 7];

/// Coefficients of a subtree that one core processes alone: they and their factors fit in its cache.
pub const ALONE: usize = 1 << 11;

/// Returns the shortest length of a transform that has `least` coefficients, and its leaf size.
pub fn length(least: usize) -> (usize, usize) {
    let fitting = LEAVES.map(|leaf| (leaf * least.div_ceil(leaf).next_power_of_two(), leaf));
    fitting.into_iter().min().unwrap_or((4, 4))
}

/// Replaces the coefficients by the remainders in the leaves.
pub fn forward<C: Cpu>(cpu: C, data: &mut [Residues], leaf: usize, stop: StopCheck<'_>) -> Result<(), Stopped> {
    down(cpu, data, leaf, 0, stop)
}

/// Replaces the remainders by the coefficients, each times `data.len() / leaf`.
pub fn backward<C: Cpu>(cpu: C, data: &mut [Residues], leaf: usize, stop: StopCheck<'_>) -> Result<(), Stopped> {
    up(cpu, data, leaf, 0, stop)
}

fn down<C: Cpu>(cpu: C, data: &mut [Residues], leaf: usize, node: usize, stop: StopCheck<'_>) -> Result<(), Stopped> {
    if data.len() <= ALONE {
        cpu.run(|| down_alone::<C::Arithmetic>(data, leaf, node));
        return report_work(alone(data.len(), leaf), stop);
    }
    let factors = Radix4Factors::of::<C::Arithmetic>(DOWN.at(2 * node), DOWN.i);
    let quarter = data.len() / 4;
    pass(quarters(data), &|part: Quarters<'_>| cpu.run(|| split::<C::Arithmetic>(part, &factors)), stop)?;
    each(data, quarter, node, &|part, node| down(cpu, part, leaf, node, stop))
}

fn up<C: Cpu>(cpu: C, data: &mut [Residues], leaf: usize, node: usize, stop: StopCheck<'_>) -> Result<(), Stopped> {
    if data.len() <= ALONE {
        cpu.run(|| up_alone::<C::Arithmetic>(data, leaf, node));
        return report_work(alone(data.len(), leaf), stop);
    }
    let quarter = data.len() / 4;
    each(data, quarter, node, &|part, node| up(cpu, part, leaf, node, stop))?;
    let factors = Radix4Factors::of::<C::Arithmetic>(UP.at(2 * node), UP.i);
    pass(quarters(data), &|part: Quarters<'_>| cpu.run(|| unite::<C::Arithmetic>(part, &factors)), stop)
}

/// Does `work` on the four subtrees of a node, on all cores.
fn each(
    data: &mut [Residues],
    quarter: usize,
    node: usize,
    work: &(impl Fn(&mut [Residues], usize) -> Result<(), Stopped> + Sync),
) -> Result<(), Stopped> {
    let (low, high) = data.split_at_mut(2 * quarter);
    let pair = |half: &mut [Residues], node: usize| {
        let (left, right) = half.split_at_mut(quarter);
        join_both(|| work(left, node), || work(right, node + 1)).map(|_| ())
    };
    join_both(|| pair(low, 4 * node), || pair(high, 4 * node + 2)).map(|_| ())
}

/// Does `work` on all four quarters, in chunks on all cores.
fn pass([a, b, c, d]: Quarters<'_>, work: &(impl Fn(Quarters<'_>) + Sync), stop: StopCheck<'_>) -> Result<(), Stopped> {
    if a.len() <= ALONE {
        // Four quarters of four words for each coefficient, two levels.
        let worked = 32 * a.len() as u64;
        work([a, b, c, d]);
        return report_work(worked, stop);
    }
    let half = a.len() / 2;
    let ((a, e), (b, f)) = (a.split_at_mut(half), b.split_at_mut(half));
    let ((c, g), (d, h)) = (c.split_at_mut(half), d.split_at_mut(half));
    join_both(|| pass([a, b, c, d], work, stop), || pass([e, f, g, h], work, stop)).map(|_| ())
}

/// Returns the work of a subtree: its words, once for each level.
fn alone(words: usize, leaf: usize) -> u64 {
    4 * words as u64 * u64::from((words / leaf).ilog2())
}

#[inline(always)]
fn down_alone<A: Arithmetic>(data: &mut [Residues], leaf: usize, node: usize) {
    let (mut count, mut node) = (1, node);
    while data.len() / count > 2 * leaf {
        let two = DOWN.run(2 * node);
        let size = data.len() / count;
        for (offset, part) in data.chunks_exact_mut(size).enumerate() {
            let [a, b, c, d] = quarters(part);
            split::<A>([a, b, c, d], &Radix4Factors::of::<A>(two.at::<A>(2 * offset), DOWN.i));
        }
        (count, node) = (4 * count, 4 * node);
    }
    if data.len() / count == 2 * leaf {
        let one = DOWN.run(node);
        for (offset, part) in data.chunks_exact_mut(2 * leaf).enumerate() {
            let (a, b) = part.split_at_mut(leaf);
            split_one::<A>(a, b, &Constant::of(one.at::<A>(offset)));
        }
    }
}

#[inline(always)]
fn up_alone<A: Arithmetic>(data: &mut [Residues], leaf: usize, node: usize) {
    let levels = (data.len() / leaf).trailing_zeros();
    let mut size = leaf;
    if levels % 2 == 1 {
        let one = UP.run(node * (data.len() / leaf / 2));
        for (offset, part) in data.chunks_exact_mut(2 * leaf).enumerate() {
            let (a, b) = part.split_at_mut(leaf);
            unite_one::<A>(a, b, &Constant::of(one.at::<A>(offset)));
        }
        size = 2 * leaf;
    }
    while size < data.len() {
        size *= 4;
        let node = node * (data.len() / size);
        let two = UP.run(2 * node);
        for (offset, part) in data.chunks_exact_mut(size).enumerate() {
            let [a, b, c, d] = quarters(part);
            unite::<A>([a, b, c, d], &Radix4Factors::of::<A>(two.at::<A>(2 * offset), UP.i));
        }
    }
}
