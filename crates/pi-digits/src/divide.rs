//! Division to a precision, by Newton's method: an inverse of the divisor's first half, then one step for the quotient itself
//! (Karp and Markstein, "High-precision division and square root", 1997).

use num_bigint::BigUint;

use super::product::{CyclicFactor, Signed};
use super::{StopCheck, Stopped, check_stop};

/// Divisors of up to this many bits are left to num-bigint.
const PLAIN: u64 = 1 << 12;

/// About `dividend 2^bits / divisor`, both of exactly `bits` bits; off by less than 4.
///
/// With an inverse of the first h bits (32 more than half), the first h bits of the quotient are off by a few units. What they
/// leave of the dividend, below `2^(bits + 4)`, is known from a product modulo a number not much larger than that; its quotient,
/// again by the inverse, is the rest.
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

/// About `2^(2 bits) / value`, for a value of exactly `bits` bits; off by less than 4.
///
/// From an inverse `x` of the first half, Newton's step is `x + x (1 - value x)`. The half is 8 bits longer than needed,
/// which makes the squared error of `x` less than a unit, and leaves only what the cuts lose.
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
