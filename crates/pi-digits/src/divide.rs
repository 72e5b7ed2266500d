//! Division with a given precision, by Newton's method: an inverse of the first half of the divisor, then one step for the
//! quotient (Karp and Markstein, "High-precision division and square root", 1997).

use num_bigint::BigUint;

use super::product::{CyclicFactor, Signed};
use super::{StopCheck, Stopped, check_stop};

/// Maximum bits of a divisor that num-bigint divides by.
const PLAIN: u64 = 1 << 12;

/// Returns `dividend 2^bits / divisor` with an error of less than 4. Both have exactly `bits` bits.
///
/// An inverse of the first h bits (32 more than half) gives the first h bits of the quotient with an error of a few units. The
/// remainder of the dividend is below `2^(bits + 4)`, so a product modulo a number that is slightly larger gives it. The
/// inverse gives its quotient, the rest.
///
/// # Errors
/// [`Stopped`] if `stop` returns true.
pub fn quotient(dividend: &BigUint, divisor: &BigUint, bits: u64, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
    if bits <= PLAIN {
        return Ok((dividend << bits) / divisor);
    }
    let half = bits / 2 + 32;
    let short = bits - half;
    let inverse = inverse(&(divisor >> short), half, stop)?;
    let inverse = CyclicFactor::new(inverse, 2 * half + 16, stop)?;
    let first = inverse.times(&(dividend >> short), stop)? >> half;
    let first = CyclicFactor::new(first, bits + 16, stop)?;
    let rest = first.rest((dividend, half), divisor, stop)?;
    let step = inverse.times(&(rest.size >> short), stop)? >> (3 * half - bits);
    Ok(Signed { size: step, ..rest }.added_to(first.into_number() << short))
}

/// Returns `2^(2 bits) / value` with an error of less than 4, for a value of exactly `bits` bits.
///
/// From an inverse `x` of the first half, Newton's step is `x + x (1 - value x)`. The half has 8 additional bits, so the
/// squared error of `x` is less than a unit, and only the errors of truncation remain.
fn inverse(value: &BigUint, bits: u64, stop: StopCheck<'_>) -> Result<BigUint, Stopped> {
    check_stop(stop)?;
    let one = BigUint::from(1u32);
    if bits <= PLAIN {
        return Ok((one << (2 * bits)) / value);
    }
    let half = bits / 2 + 8;
    let short = bits - half;
    let x = CyclicFactor::new(inverse(&(value >> short), half, stop)?, 2 * half + 16, stop)?;
    let error = x.rest((&one, bits + half), value, stop)?;
    let step = x.times(&(error.size >> short), stop)? >> (2 * half - short);
    Ok(Signed { size: step, ..error }.added_to(x.into_number() << short))
}
