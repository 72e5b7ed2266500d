//! The exact integer square root (Zimmermann's recursion) and powers.

use num_bigint::BigUint;

use super::divide::Divisor;
use super::product::{slice, square};
use super::{Stop, Stopped, go_on};

/// Numbers up to this many bits are left to num-bigint.
const PLAIN: u64 = 1 << 10;

/// The largest `s` with `s * s <= value`.
///
/// # Errors
/// [`Stopped`] where `stop` says so.
pub fn floor_root(value: &BigUint, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    Ok(root_and_rest(value, stop)?.0)
}

/// `base` to the power of `exponent`.
///
/// # Errors
/// [`Stopped`] where `stop` says so.
pub fn power(base: u32, exponent: u64, stop: Stop<'_>) -> Result<BigUint, Stopped> {
    let mut product = BigUint::from(1u32);
    for bit in (0..u64::BITS - exponent.leading_zeros()).rev() {
        product = square(&product, stop)?;
        if exponent >> bit & 1 == 1 {
            product *= base;
        }
    }
    Ok(product)
}

/// The floor of the root of `value`, and `value` less its square.
///
/// With `value = high 4^l + a 2^l + b` and the root `s` of `high` with its rest `r`, the root is near `s 2^l + q`, where
/// `q` is the quotient of `r 2^l + a` by `2 s`. As `sqrt(x^2 + y) <= x + y / 2x`, that is never below the floor; so
/// lowering it while its square is too large (once at most, as `s >= 2^l`) gives the floor itself.
fn root_and_rest(value: &BigUint, stop: Stop<'_>) -> Result<(BigUint, BigUint), Stopped> {
    go_on(stop)?;
    if value.bits() <= PLAIN {
        let root = value.sqrt();
        let rest = value - &root * &root;
        return Ok((root, rest));
    }
    let len = (value.bits() - 1) / 4 / 64 * 64;
    let (high, high_rest) = root_and_rest(&(value >> (2 * len)), stop)?;
    let dividend = (high_rest << len) + slice(value, len, len);
    let divisor = Divisor::new(&high << 1u32, stop)?;
    let (quotient, rest) = divisor.div_rem(&dividend, stop)?;
    drop((dividend, divisor));
    let squared = square(&quotient, stop)?;
    let rest = (rest << len) + slice(value, 0, len);
    Ok(lowered((high << len) + quotient, rest, squared))
}

/// `root` lowered until `rest - squared` is not negative, and that rest: a root less by one leaves `2 root - 1` more.
fn lowered(mut root: BigUint, mut rest: BigUint, squared: BigUint) -> (BigUint, BigUint) {
    while rest < squared {
        rest += (&root << 1u32) - 1u32;
        root -= 1u32;
    }
    rest -= squared;
    (root, rest)
}
