//! Checks of the arithmetic against num-bigint, which is slower and simpler. For tests and a fuzz target. Each check runs with
//! every set of instructions of the processor.

use std::sync::atomic::{AtomicBool, Ordering};

use num_bigint::BigUint;

use super::decimal::write_fraction;
use super::divide::quotient;
use super::product::instructions::forced::each;
use super::product::{CyclicFactor, Signed, mul, square};
use super::{StopCheck, WriteError};

/// Never stops.
pub const NEVER: StopCheck<'static> = &|_| false;

/// Checks the product of two numbers, the square of the first, and both uses of products modulo `2^n - 1`.
///
/// # Panics
/// If a result is wrong.
pub fn products(a: &BigUint, b: &BigUint) {
    let (product, squared) = (a * b, a * a);
    each(|| products_of((a, b), &product, &squared));
}

fn products_of((a, b): (&BigUint, &BigUint), product: &BigUint, squared: &BigUint) {
    assert!(mul(a, b, NEVER).unwrap() == *product, "{a:x} by {b:x}");
    assert!(square(a, NEVER).unwrap() == *squared, "the square of {a:x}");
    // The fewest bits that are allowed, and enough that nothing wraps around.
    let longer = a.bits().max(b.bits());
    for least in [longer, product.bits().max(longer)].map(|bits| bits + 64) {
        let factor = CyclicFactor::new(a.clone(), least, NEVER).unwrap();
        for (negative, size) in [(false, BigUint::from(3u32)), (true, BigUint::from(1u32) << (least / 2))] {
            let rest = Signed { negative, size };
            let minuend = if negative && *product < rest.size { continue } else { rest.added_to(product.clone()) };
            assert!(factor.rest((&minuend, 0), b, NEVER).unwrap() == rest, "what {a:x} by {b:x} leaves");
        }
    }
}

/// Checks that the error of a quotient of two numbers of the same length is less than 4.
///
/// # Panics
/// If it is not.
pub fn quotients(a: &BigUint, b: &BigUint) {
    let bits = a.bits().max(b.bits()).max(1);
    let leading = |number: &BigUint| {
        let one = BigUint::from(1u32) << (bits - 1);
        if *number == BigUint::ZERO { one } else { number << (bits - number.bits()) }
    };
    let (a, b) = (leading(a), leading(b));
    let exact = (&a << bits) / &b;
    each(|| {
        let found = quotient(&a, &b, bits, NEVER).unwrap();
        assert!(Signed::difference(found, exact.clone()).size < BigUint::from(4u32), "{a:x} by {b:x}");
    });
}

/// Checks the digits of a fraction. Returns false if they are not settled.
///
/// # Panics
/// If a digit is wrong.
pub fn digits(fraction: &BigUint, digits: u32) -> bool {
    let bits = fraction.bits().max(1);
    let exact = (fraction * BigUint::from(10u32).pow(digits)) >> bits;
    let expected = format!("{exact:0>width$}", width = digits as usize);
    let settled = AtomicBool::new(true);
    each(|| {
        let mut text = Vec::new();
        match write_fraction((fraction.clone(), bits), u64::from(digits), &mut text, NEVER) {
            Ok(()) => assert!(text == expected.as_bytes(), "{digits} digits of {fraction:x}"),
            Err(WriteError::Unsettled) => settled.store(false, Ordering::Relaxed),
            Err(error) => panic!("{error}"),
        }
    });
    settled.into_inner()
}
