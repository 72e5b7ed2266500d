//! The number-theoretic transform, as a tree of remainders: a polynomial modulo `x^(2h) - c^2` is split into its remainders
//! modulo `x^h - c` and `x^h + c`, from `x^n - 1` down to polynomials of [`LEAVES`] coefficients, which are multiplied as
//! they are. (Bernstein, "Multidigit multiplication for mathematicians", 2001, sections 3 and 4.) No order of bits is ever
//! reversed: node `j` of a level has the children `2j` and `2j + 1`, and its constant depends on `j` alone.
//!
//! Two levels are done in one pass (radix 4). Subtrees that fit a core's cache are done one after the other; above them all
//! cores share each pass, and the stop is looked at between passes.

use std::sync::LazyLock;

use super::super::{Stop, Stopped, both, done};
use super::field::{Sum, add, inverse, mul, mul_i, power, reduced, root, sub};

/// Coefficients of the polynomials that are multiplied as they are, so that lengths come in steps of a quarter at most.
const LEAVES: [usize; 4] = [4, 5, 6, 7];

/// Words of a subtree that one core does alone: they and their factors stay in its cache.
const ALONE: usize = 1 << 13;

/// Constants that are kept, as a power of two: as many as the nodes of a subtree that one core does alone.
const KEPT: u32 = 11;

/// The constants of the nodes, one way.
struct Constants {
    /// The root of order `2^log`.
    roots: [u64; 33],
    /// The constant of node `2 j`, for j below `2^KEPT`.
    kept: Vec<u64>,
}

/// Those of the way down, and their inverses.
static DOWN: LazyLock<Constants> = LazyLock::new(|| Constants::of(root));
static UP: LazyLock<Constants> = LazyLock::new(|| Constants::of(|log| inverse(root(log))));

impl Constants {
    fn of(root: impl Fn(u32) -> u64) -> Constants {
        let roots = std::array::from_fn(|log| root(u32::try_from(log).unwrap_or(0)));
        let mut constants = Constants { roots, kept: Vec::new() };
        constants.kept = (0..1 << KEPT).map(|j| constants.at(j)).collect();
        constants
    }

    /// The constant of node `2 j`: bit t of j stands for a root of order `2^(t + 2)`.
    fn at(&self, j: usize) -> u64 {
        let bits = (0..usize::BITS as usize).filter(|bit| j >> bit & 1 == 1);
        reduced(bits.fold(1, |product, bit| mul(product, self.roots[bit + 2])))
    }

    /// The constants of the nodes `2 j`, `2 (j + 1)` and so on, for a j that is a multiple of how many are asked for: where the
    /// bits of two numbers do not meet, the constant of their sum is the product of theirs.
    fn run(&self, j: usize) -> Run<'_> {
        Run { base: self.at(j), kept: &self.kept }
    }
}

/// The shortest length of a transform that has `least` coefficients, and the leaf it ends in.
pub fn length(least: usize) -> (usize, usize) {
    let fitting = LEAVES.map(|leaf| (leaf * least.div_ceil(leaf).next_power_of_two(), leaf));
    fitting.into_iter().min().unwrap_or((4, 4))
}

/// Replaces the coefficients by the remainders in the leaves.
pub fn forward(data: &mut [u64], leaf: usize, stop: Stop<'_>) -> Result<(), Stopped> {
    down(data, leaf, 0, stop)
}

/// Replaces the remainders by the coefficients, each times `data.len() / leaf`.
pub fn backward(data: &mut [u64], leaf: usize, stop: Stop<'_>) -> Result<(), Stopped> {
    up(data, leaf, 0, stop)
}

fn down(data: &mut [u64], leaf: usize, node: usize, stop: Stop<'_>) -> Result<(), Stopped> {
    if data.len() <= ALONE {
        down_alone(data, leaf, node);
        return done(alone(data.len(), leaf), stop);
    }
    let factors = Four::of(DOWN.at(node), DOWN.at(2 * node));
    let quarter = data.len() / 4;
    pass(quarters(data), &|a, b, c, d| split(a, b, c, d, factors), stop)?;
    each(data, quarter, node, &|part, node| down(part, leaf, node, stop))
}

fn up(data: &mut [u64], leaf: usize, node: usize, stop: Stop<'_>) -> Result<(), Stopped> {
    if data.len() <= ALONE {
        up_alone(data, leaf, node);
        return done(alone(data.len(), leaf), stop);
    }
    let quarter = data.len() / 4;
    each(data, quarter, node, &|part, node| up(part, leaf, node, stop))?;
    let factors = Four::of(UP.at(node), UP.at(2 * node));
    pass(quarters(data), &|a, b, c, d| unite(a, b, c, d, factors), stop)
}

/// The four subtrees of a node, on all cores.
fn each(
    data: &mut [u64],
    quarter: usize,
    node: usize,
    work: &(impl Fn(&mut [u64], usize) -> Result<(), Stopped> + Sync),
) -> Result<(), Stopped> {
    let (low, high) = data.split_at_mut(2 * quarter);
    let pair = |half: &mut [u64], node: usize| {
        let (left, right) = half.split_at_mut(quarter);
        both(|| work(left, node), || work(right, node + 1)).map(|_| ())
    };
    both(|| pair(low, 4 * node), || pair(high, 4 * node + 2)).map(|_| ())
}

type Quarters<'a> = [&'a mut [u64]; 4];

fn quarters(data: &mut [u64]) -> Quarters<'_> {
    let half = data.len() / 2;
    let (low, high) = data.split_at_mut(half);
    let ((a, b), (c, d)) = (low.split_at_mut(half / 2), high.split_at_mut(half / 2));
    [a, b, c, d]
}

/// Does `work` on all four quarters, piece by piece on all cores.
fn pass(
    [a, b, c, d]: Quarters<'_>,
    work: &(impl Fn(&mut [u64], &mut [u64], &mut [u64], &mut [u64]) + Sync),
    stop: Stop<'_>,
) -> Result<(), Stopped> {
    if a.len() <= ALONE {
        work(a, b, c, d);
        // Four quarters, two levels.
        return done(8 * a.len() as u64, stop);
    }
    let half = a.len() / 2;
    let ((a, e), (b, f)) = (a.split_at_mut(half), b.split_at_mut(half));
    let ((c, g), (d, h)) = (c.split_at_mut(half), d.split_at_mut(half));
    both(|| pass([a, b, c, d], work, stop), || pass([e, f, g, h], work, stop)).map(|_| ())
}

/// The three factors of a pass of radix 4, those of the second, third and fourth quarter.
#[derive(Clone, Copy)]
struct Four {
    second: u64,
    third: u64,
    fourth: u64,
}

impl Four {
    /// Of the constants of the nodes `2 j` (one level down) and `4 j` (two levels down).
    #[inline(always)]
    fn of(one: u64, two: u64) -> Four {
        Four { second: two, third: one, fourth: mul(one, two) }
    }
}

/// Two levels down.
#[inline(always)]
fn split(a: &mut [u64], b: &mut [u64], c: &mut [u64], d: &mut [u64], by: Four) {
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        let second = mul(*b, by.second);
        let third = reduced(mul(*c, by.third));
        let fourth = reduced(mul(*d, by.fourth));
        let (even, odd) = (add(*a, third), sub(*a, third));
        let sum = reduced(add(second, fourth));
        let turned = reduced(mul_i(sub(second, fourth)));
        (*a, *b) = (add(even, sum), sub(even, sum));
        (*c, *d) = (add(odd, turned), sub(odd, turned));
    }
}

/// Two levels up: what [`split`] did, times 4; the factors are the inverse ones.
#[inline(always)]
fn unite(a: &mut [u64], b: &mut [u64], c: &mut [u64], d: &mut [u64], by: Four) {
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        let (second, fourth) = (reduced(*b), reduced(*d));
        let (even, sum) = (add(*a, second), sub(*a, second));
        let odd = reduced(add(*c, fourth));
        // Times -i: 2^48 times the opposite.
        let turned = reduced(mul_i(sub(*d, reduced(*c))));
        *a = add(even, odd);
        *c = mul(sub(even, odd), by.third);
        *b = mul(add(sum, turned), by.second);
        *d = mul(sub(sum, turned), by.fourth);
    }
}

/// One level down or up, for subtrees of an odd number of levels.
#[inline(always)]
fn split_one(a: &mut [u64], b: &mut [u64], by: u64) {
    for (a, b) in a.iter_mut().zip(b) {
        let second = reduced(mul(*b, by));
        (*a, *b) = (add(*a, second), sub(*a, second));
    }
}

#[inline(always)]
fn unite_one(a: &mut [u64], b: &mut [u64], by: u64) {
    for (a, b) in a.iter_mut().zip(b) {
        let second = reduced(*b);
        (*a, *b) = (add(*a, second), mul(sub(*a, second), by));
    }
}

/// See [`Constants::run`].
struct Run<'a> {
    base: u64,
    kept: &'a [u64],
}

impl Run<'_> {
    #[inline(always)]
    fn at(&self, offset: usize) -> u64 {
        mul(self.base, self.kept[offset])
    }
}

/// The work of a subtree: its words, once for each level.
fn alone(words: usize, leaf: usize) -> u64 {
    words as u64 * u64::from((words / leaf).ilog2())
}

fn down_alone(data: &mut [u64], leaf: usize, node: usize) {
    let (mut count, mut node) = (1, node);
    while data.len() / count > 2 * leaf {
        let (one, two) = (DOWN.run(node), DOWN.run(2 * node));
        let size = data.len() / count;
        for (offset, part) in data.chunks_exact_mut(size).enumerate() {
            let [a, b, c, d] = quarters(part);
            split(a, b, c, d, Four::of(one.at(offset), two.at(2 * offset)));
        }
        (count, node) = (4 * count, 4 * node);
    }
    if data.len() / count == 2 * leaf {
        let one = DOWN.run(node);
        for (offset, part) in data.chunks_exact_mut(2 * leaf).enumerate() {
            let (a, b) = part.split_at_mut(leaf);
            split_one(a, b, one.at(offset));
        }
    }
}

fn up_alone(data: &mut [u64], leaf: usize, node: usize) {
    let levels = (data.len() / leaf).trailing_zeros();
    let mut size = leaf;
    if levels % 2 == 1 {
        let one = UP.run(node * (data.len() / leaf / 2));
        for (offset, part) in data.chunks_exact_mut(2 * leaf).enumerate() {
            let (a, b) = part.split_at_mut(leaf);
            unite_one(a, b, one.at(offset));
        }
        size = 2 * leaf;
    }
    while size < data.len() {
        size *= 4;
        let node = node * (data.len() / size);
        let (one, two) = (UP.run(node), UP.run(2 * node));
        for (offset, part) in data.chunks_exact_mut(size).enumerate() {
            let [a, b, c, d] = quarters(part);
            unite(a, b, c, d, Four::of(one.at(offset), two.at(2 * offset)));
        }
    }
}

/// Leaves that are multiplied between two looks at the stop.
const LEAVES_ALONE: usize = 1 << 11;

/// Replaces each leaf of `a` by its product with that of `b`, or by its square, so that [`backward`] then gives the
/// coefficients of the product themselves.
pub fn multiply(a: &mut [u64], b: Option<&[u64]>, leaf: usize, stop: Stop<'_>) -> Result<(), Stopped> {
    let scale = inverse(power(2, u64::from((a.len() / leaf).trailing_zeros())));
    match leaf {
        4 => products::<4>(a, b, 0, scale, stop),
        5 => products::<5>(a, b, 0, scale, stop),
        6 => products::<6>(a, b, 0, scale, stop),
        _ => products::<7>(a, b, 0, scale, stop),
    }
}

/// The same of the leaves from number `first` on, which is even.
fn products<const LEAF: usize>(
    a: &mut [u64],
    b: Option<&[u64]>,
    first: usize,
    scale: u64,
    stop: Stop<'_>,
) -> Result<(), Stopped> {
    let count = a.len() / LEAF;
    if count > LEAVES_ALONE {
        let (half, cut) = (first + count / 2, count / 2 * LEAF);
        let ((a, c), parts) = (a.split_at_mut(cut), b.map(|b| b.split_at(cut)));
        let (b, d) = parts.unzip();
        return both(|| products::<LEAF>(a, b, first, scale, stop), || products::<LEAF>(c, d, half, scale, stop))
            .map(|_| ());
    }
    let run = DOWN.run(first / 2);
    let (leaves, _) = a.as_chunks_mut::<LEAF>();
    let others = b.map(|b| b.as_chunks::<LEAF>().0);
    for (offset, leaf) in leaves.iter_mut().enumerate() {
        let constant = reduced(run.at(offset / 2));
        let constant = if offset % 2 == 0 { constant } else { sub(0, constant) };
        let other = others.map_or(*leaf, |others| others[offset]);
        *leaf = product(leaf, &other, constant).map(|word| mul(word, scale));
    }
    // As much as two levels.
    done(2 * (count * LEAF) as u64, stop)
}

/// Adds `b` to `a`, word by word.
pub fn add_all(a: &mut [u64], b: &[u64], stop: Stop<'_>) -> Result<(), Stopped> {
    if a.len() > ALONE {
        let half = a.len() / 2;
        let ((a, c), (b, d)) = (a.split_at_mut(half), b.split_at(half));
        return both(|| add_all(a, b, stop), || add_all(c, d, stop)).map(|_| ());
    }
    for (a, b) in a.iter_mut().zip(b) {
        *a = add(*a, reduced(*b));
    }
    done(a.len() as u64, stop)
}

/// The product of two polynomials modulo `x^LEAF - constant`.
#[inline(always)]
fn product<const LEAF: usize>(a: &[u64; LEAF], b: &[u64; LEAF], constant: u64) -> [u64; LEAF] {
    std::array::from_fn(|k| {
        let (mut low, mut high) = (Sum::default(), Sum::default());
        for i in 0..LEAF {
            if i <= k {
                low.add(a[i], b[k - i]);
            } else {
                high.add(a[i], b[LEAF + k - i]);
            }
        }
        low.add(high.word(), constant);
        low.word()
    })
}
