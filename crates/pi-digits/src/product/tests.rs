//! Tests of the bounds on which the exactness of products depends, at their limits.

use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;

use super::cut::cut;
use super::field::*;
use super::instructions::{Baseline, Cpu, Instructions, forced, with_cpu};
use super::join::join;

/// Returns numbers up to `most` of either sign, most of them at a limit.
fn number(most: i64) -> impl Strategy<Value = i64> {
    prop_oneof![Just(most), Just(-most), Just(most - 1), Just(0), Just(1), Just(most / 2), -most..=most]
}

/// Asserts that a product is correct modulo each prime, and that its absolute value is within the bound.
fn product_is_exact<A: Arithmetic>(a: [i64; 4], b: [i64; 4]) {
    let product = mul::<A>(a.map(|a| a as f64), &Constant::of(b.map(|b| b as f64)));
    for k in 0..4 {
        let (p, found) = (i128::from(PRIMES[k]), product[k] as i128);
        assert_eq!((i128::from(a[k]) * i128::from(b[k]) - found) % p, 0, "{} by {}", a[k], b[k]);
        let most = p / 2 + i128::from(a[k].abs()) / 8 + 1;
        assert!(found.abs() <= most, "{} by {} is {found}", a[k], b[k]);
    }
}

fn is_reduced<A: Arithmetic>(a: [i64; 4]) {
    let found = reduced::<A>(a.map(|a| a as f64));
    for k in 0..4 {
        let (p, found) = (i128::from(PRIMES[k]), found[k] as i128);
        assert_eq!((i128::from(a[k]) - found) % p, 0);
        assert!(found.abs() <= p / 2 + 1);
    }
}

/// Returns this many numbers up to some eighths of each prime.
fn numbers(eighths: i64) -> impl Strategy<Value = [i64; 4]> {
    PRIMES.map(|p| number(i64::try_from(p).unwrap() / 8 * eighths))
}

proptest! {
    #[test]
    fn products_and_remainders_are_exact_up_to_their_bounds(a in numbers(32), b in numbers(4), c in numbers(63)) {
        product_is_exact::<Fused>(a, b);
        product_is_exact::<Wrapping>(a, b);
        is_reduced::<Fused>(c);
        is_reduced::<Wrapping>(c);
    }

    #[test]
    fn pieces_of_any_length_are_joined_to_the_number(
        words in proptest::collection::vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)], 0..4_000),
        half in 36..=48u32, more in 0..100usize,
    ) {
        let digits = words.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]).collect();
        let number = BigUint::new(digits);
        forced::each(|| with_cpu!(Instructions::current(), cpu => {
            let mut pieces = vec![ZERO; super::cut::count(words.len(), 2 * half) + more];
            cut(cpu, &words, 2 * half, &mut pieces);
            assert!(join(cpu, &pieces, 2 * half, 0) == number);
        }));
    }
}

/// Sums of products at their maximum, and at the limits of words and chunks.
#[test]
fn the_largest_sums_are_joined() {
    let one = BigUint::from(1u32);
    let most = (&one << 198u32) - 1u32;
    for value in [&most, &(&most >> 1u32), &(&one << 197u32), &one] {
        let residues = PRIMES.map(|p| u64::try_from(value % p).unwrap());
        for (count, bits) in [(1, 72), (1, 96), (1_023, 90), (1_024, 96), (1_025, 72), (3_000, 88)] {
            let unit = ((&one << (u64::from(bits) * count)) - 1u32) / ((&one << bits) - 1u32);
            let pieces = vec![balanced(residues); usize::try_from(count).unwrap()];
            forced::each(|| {
                with_cpu!(Instructions::current(), cpu => {
                    assert!(join(cpu, &pieces, bits, 0) == value * &unit, "{count} times {bits} bits");
                })
            });
        }
    }
}

#[test]
fn the_roots_have_the_order_that_they_are_named_by() {
    for log in 1..=32 {
        let roots = root(log);
        for (root, p) in roots.into_iter().zip(PRIMES) {
            assert_eq!(power(root, 1 << (log - 1), p), p - 1, "order 2^{log} modulo {p}");
        }
    }
    let most = PRIMES.into_iter().map(BigInt::from).product::<BigInt>();
    assert!(most > BigInt::from(2) * (BigInt::from(1) << 198u32));
}

#[test]
fn a_pool_of_the_tests_has_the_instructions_that_it_is_for() {
    let sets = std::sync::Mutex::new(Vec::new());
    forced::each(|| sets.lock().unwrap().push(format!("{:?}", Instructions::current())));
    let sets = sets.into_inner().unwrap();
    assert_eq!(sets.len(), 2);
    assert_eq!(sets[1], "Baseline");
    with_cpu!(Instructions::current(), cpu => cpu.run(|| println!("these tests compare {} with Baseline", sets[0])));
}
