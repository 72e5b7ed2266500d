//! The constants of the nodes of the [`transform`](super::transform)'s tree.

use std::sync::LazyLock;

use super::field::{Arithmetic, Constant, PRIMES, Residues, balanced, inverse, mul, mul_integers, reduced, root};

/// Number of stored constants, as a power of two: as many as a subtree of one core has nodes.
const KEPT: u32 = 9;

/// The constants of the nodes in one direction.
pub struct Constants {
    /// The roots of order `2^log`.
    roots: [[u64; 4]; 33],
    /// The constant of node `2 j`, for j below `2^KEPT`.
    kept: Vec<Residues>,
    /// The root of order 4.
    pub i: Constant,
}

/// The constants of the forward transform.
pub static DOWN: LazyLock<Constants> = LazyLock::new(|| Constants::of(root));

/// The inverses of the forward constants, for the backward transform.
pub static UP: LazyLock<Constants> = LazyLock::new(|| {
    Constants::of(|log| {
        let roots = root(log);
        std::array::from_fn(|k| inverse(roots[k], PRIMES[k]))
    })
});

impl Constants {
    fn of(root: impl Fn(u32) -> [u64; 4]) -> Constants {
        let roots = std::array::from_fn(|log| root(u32::try_from(log).unwrap_or(0)));
        let mut constants = Constants { roots, kept: Vec::new(), i: Constant::of_integers(roots[2]) };
        constants.kept = (0..1 << KEPT).map(|j| constants.at(j)).collect();
        constants
    }

    /// Returns the constant of node `2 j`: bit t of j means a root of order `2^(t + 2)`.
    pub fn at(&self, j: usize) -> Residues {
        let mut product = [1; 4];
        for root in (0..usize::BITS as usize).filter(|bit| j >> bit & 1 == 1).map(|bit| self.roots[bit + 2]) {
            product = std::array::from_fn(|k| mul_integers(product[k], root[k], PRIMES[k]));
        }
        balanced(product)
    }

    /// Returns the constants of the nodes `2 j`, `2 (j + 1)` and so on. j is a multiple of the number of constants
    /// used. If two numbers have no bits in common, the constant of their sum is the product of their constants.
    pub fn run(&self, j: usize) -> ConstantRun<'_> {
        ConstantRun { base: Constant::of(self.at(j)), kept: &self.kept }
    }
}

/// See [`Constants::run`].
pub struct ConstantRun<'a> {
    base: Constant,
    kept: &'a [Residues],
}

impl ConstantRun<'_> {
    /// Returns the constant of node `2 (j + offset)`.
    #[inline(always)]
    pub fn at<A: Arithmetic>(&self, offset: usize) -> Residues {
        reduced::<A>(mul::<A>(self.kept[offset], &self.base))
    }
}
