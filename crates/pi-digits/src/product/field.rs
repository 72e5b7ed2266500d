//! Exact arithmetic modulo four primes at once, in floating point.
//!
//! A residue is a whole number in an `f64`. It may be negative, and as large as some multiples of its prime. Four
//! residues, one for each prime, are side by side, so that vector instructions work on all four. A product `a b` modulo
//! p is `a b - q p`, with a whole number `q` near `a b / p`. Both implementations of [`Arithmetic`] compute that
//! difference exactly. (NTL's and FLINT's transforms use the same method.)
//!
//! # Why rounding loses nothing
//!
//! Let `|a| <= 4 p` and `|b| <= p / 2`, with `b / p` correctly rounded. As p is below `2^50`, `|a b / p|` is below
//! `2^51`. The product of `a` and `b / p` is rounded to a whole number, q. The relative error of `b / p`, at most
//! `2^-53`, changes the product by at most `|a| / 16 p`. [`Wrapping`] rounds the product first, which changes it by at
//! most as much again. So `q` differs from `a b / p` by at most `1/2 + |a| / 8 p`:
//!
//! - The result is at most p, and at most `3/4 p` if `|a| <= 2 p`.
//! - [`Fused`] computes `h + l = a b`, without an error, and `|l| < 2^48`. So `h - q p` is a whole number below `2^51`,
//!   and one fused operation gives it without an error. The same is true for its sum with `l`.
//! - [`Wrapping`] computes modulo `2^64`, which does not change a result below `2^63`.
//!
//! Sums and differences are exact as long as they are below `2^53`, that is `8 p`.

/// The primes: the four largest below `2^50` of the form `k 2^32 + 1`. Their product is more than `2^199.99`.
pub const PRIMES: [u64; 4] = [0x3_fff3_0000_0001, 0x3_ffed_0000_0001, 0x3_ffeb_0000_0001, 0x3_ffc1_0000_0001];

/// A generator of the multiplicative group of each prime.
const GENERATORS: [u64; 4] = [5, 7, 3, 7];

/// A residue for each prime.
pub type Residues = [f64; 4];

/// The residues of 0.
pub const ZERO: Residues = [0.0; 4];

const P: Residues = [PRIMES[0] as f64, PRIMES[1] as f64, PRIMES[2] as f64, PRIMES[3] as f64];

const INVERSE_P: Residues = [1.0 / P[0], 1.0 / P[1], 1.0 / P[2], 1.0 / P[3]];

/// A number below `2^51` plus this constant is rounded to a whole number.
const ROUND: f64 = (3u64 << 51) as f64;

/// The lowest bit of this number, and of the next `2^52` whole numbers, has the value 1.
const UNIT: f64 = (1u64 << 52) as f64;

/// The operation that differs between processors. The module documentation states its preconditions.
pub trait Arithmetic: Copy + Send + Sync {
    /// Returns `a b - q p`, exact, with a whole number q near `a share`.
    fn product(a: f64, b: f64, share: f64, p: f64) -> f64;
}

/// Fused multiplications and additions, for processors that have them. On other processors each one is a slow call.
#[derive(Clone, Copy, Debug)]
pub struct Fused;

/// Integer multiplications, for any processor.
#[derive(Clone, Copy, Debug)]
pub struct Wrapping;

impl Arithmetic for Fused {
    #[inline(always)]
    fn product(a: f64, b: f64, share: f64, p: f64) -> f64 {
        let q = a.mul_add(share, ROUND) - ROUND;
        let high = a * b;
        let low = a.mul_add(b, -high);
        (-q).mul_add(p, high) + low
    }
}

impl Arithmetic for Wrapping {
    #[inline(always)]
    fn product(a: f64, b: f64, share: f64, p: f64) -> f64 {
        let q = (a * share + ROUND).to_bits().wrapping_sub(ROUND.to_bits());
        let [a, b, p] = [a as i64 as u64, b as i64 as u64, p as u64];
        a.wrapping_mul(b).wrapping_sub(q.wrapping_mul(p)) as i64 as f64
    }
}

/// Returns the value for each prime. It is a loop without a closure, so that it becomes vector instructions in every
/// function that inlines it.
macro_rules! each {
    ($k:ident => $value:expr) => {{
        let mut values = ZERO;
        let mut $k = 0;
        while $k < 4 {
            values[$k] = $value;
            $k += 1;
        }
        values
    }};
}

/// A factor of at most half of its prime.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    value: Residues,
    /// The value divided by the prime.
    share: Residues,
}

impl Constant {
    /// Returns a constant of at most half of the prime.
    #[inline(always)]
    pub fn of(value: Residues) -> Constant {
        Constant { value, share: each!(k => value[k] / P[k]) }
    }

    /// Returns a constant of any integers below the primes.
    pub fn of_integers(integers: [u64; 4]) -> Constant {
        Constant::of(balanced(integers))
    }
}

/// Returns the residues of integers below the primes, each at most half of its prime.
pub fn balanced(integers: [u64; 4]) -> Residues {
    each!(k => if integers[k] > PRIMES[k] / 2 { integers[k] as f64 - P[k] } else { integers[k] as f64 })
}

/// Returns `a + b`.
#[inline(always)]
pub fn add(a: Residues, b: Residues) -> Residues {
    each!(k => a[k] + b[k])
}

/// Returns `a - b`.
#[inline(always)]
pub fn sub(a: Residues, b: Residues) -> Residues {
    each!(k => a[k] - b[k])
}

/// Returns `a b`, for an `a` of at most `4 p`: at most `(1/2 + |a| / 8 p) p`.
#[inline(always)]
pub fn mul<A: Arithmetic>(a: Residues, b: &Constant) -> Residues {
    each!(k => A::product(a[k], b.value[k], b.share[k], P[k]))
}

/// Returns the residue of `a` that is at most half of the prime, for an `a` below `8 p`.
#[inline(always)]
pub fn reduced<A: Arithmetic>(a: Residues) -> Residues {
    each!(k => A::product(a[k], 1.0, INVERSE_P[k], P[k]))
}

/// Returns the residue of `a` from 0 up to the prime, for an `a` below the prime.
#[inline(always)]
pub fn positive(a: Residues) -> Residues {
    each!(k => if a[k] < 0.0 { a[k] + P[k] } else { a[k] })
}

/// Returns whole numbers from 0 up to `2^50` as integers.
#[inline(always)]
pub fn integers(a: Residues) -> [u64; 4] {
    let mut integers = [0; 4];
    for k in 0..4 {
        integers[k] = (a[k] + UNIT).to_bits() ^ UNIT.to_bits();
    }
    integers
}

/// Returns the sum of all `a / p`, rounded down to a whole number, modulo 4, for a sum that is above a whole number by
/// at most half.
#[inline(always)]
pub fn turns(a: Residues) -> usize {
    let [a, b, c, d] = each!(k => a[k] * INVERSE_P[k]);
    let sum = (a + b) + (c + d) - 0.25;
    (sum + ROUND).to_bits() as usize & 3
}

/// Returns `a b` modulo p.
pub fn mul_integers(a: u64, b: u64, p: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(p)) as u64
}

/// Returns `base` to the power of `exponent`, modulo p.
pub fn power(base: u64, mut exponent: u64, p: u64) -> u64 {
    let (mut base, mut product) = (base % p, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = mul_integers(product, base, p);
        }
        base = mul_integers(base, base, p);
        exponent >>= 1;
    }
    product
}

/// Returns `1 / a` modulo p.
pub fn inverse(a: u64, p: u64) -> u64 {
    power(a, p - 2, p)
}

/// Returns primitive roots of unity of order `2^log`, for `log` up to 32.
pub fn root(log: u32) -> [u64; 4] {
    std::array::from_fn(|k| power(GENERATORS[k], (PRIMES[k] - 1) >> log, PRIMES[k]))
}
