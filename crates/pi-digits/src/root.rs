//! The inverse square root of 10005, by Newton's method: the precision doubles with each step.

use num_bigint::BigUint;

use super::product::{CyclicFactor, Signed};
use super::{StopCheck, Stopped, check_stop};

/// Number whose inverse root the series needs.
const RADICAND: u32 = 10_005;

/// Maximum bits of a root that num-bigint computes.
const PLAIN: u64 = 1 << 10;

/// Returns `2^bits / sqrt(10005)` with an error of less than 4.
///
/// Let `y` be `2^half / sqrt(10005)` with an error of less than 4. The error `e = 2^(2 half) - 10005 y^2` is exact, and the root is
/// `y (1 + e / 2^(2 half + 1))`: as `e < 2^(half + 10)`, the next term of the series is far below a unit. Truncating
/// `e` and the product changes the result by less than 2.
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
