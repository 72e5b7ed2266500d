//! The inverse square root of 10005, by Newton's method: the precision doubles with each step.

use num_bigint::BigUint;

use super::product::{CyclicFactor, Signed};
use super::{StopCheck, Stopped, check_stop};

/// The number whose root the series needs.
const RADICAND: u32 = 10_005;

/// Roots of up to this many bits are left to num-bigint.
const PLAIN: u64 = 1 << 10;

/// About `2^bits / sqrt(10005)`, off by less than 4.
///
/// From `y`, near `2^half / sqrt(10005)` and off by less than 4, the error `e = 2^(2 half) - 10005 y^2` is exact, and the root is
/// `y (1 + e / 2^(2 half + 1))`: as `e < 2^(half + 10)`, what the next term of the series would add is far below a unit. Cutting
/// `e` and the product takes less than 2.
///
/// # Errors
/// [`Stopped`] if `stop` returns true.
pub fn inverse_root(bits: u64, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
    check_stop(stop)?;
    if bits <= PLAIN {
        return Ok(((BigUint::from(1u32) << (2 * bits)) / RADICAND).sqrt());
    }
    let half = bits / 2 + 16;
    let y = CyclicFactor::new(inverse_root(half, stop)?, 2 * half + 16, stop)?;
    let squared = y.squared(stop)? * RADICAND;
    let error = Signed::difference(BigUint::from(1u32) << (2 * half), squared);
    let step = Signed { size: y.times(&error.size, stop)? >> (3 * half + 1 - bits), ..error };
    Ok(step.added_to(y.into_number() << (bits - half)))
}
