//! Properties of the arithmetic against num-bigint's own, which is slower and simpler.

use num_bigint::BigUint;
use num_integer::Integer;
use proptest::collection::vec;
use proptest::prelude::*;

use super::decimal::write_decimal;
use super::divide::Divisor;
use super::product::{mul, square};
use super::root::{floor_root, power};
use super::*;

const NEVER: Stop<'static> = &|| false;

/// Any number of up to `words` words of 32 bits; some words all zeros or all ones, where carries run far.
fn number(words: usize) -> impl Strategy<Value = BigUint> {
    let word = prop_oneof![4 => any::<u32>(), 1 => Just(0), 1 => Just(u32::MAX)];
    let plain = vec(word, 0..words).prop_map(BigUint::new);
    let bits = (words as u64) * 32;
    let near_a_power = (1..bits, 0..3u32).prop_map(|(bits, less)| {
        let power = BigUint::from(1u32) << bits;
        if power > BigUint::from(less) { power - less } else { power }
    });
    prop_oneof![6 => plain, 1 => near_a_power]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_product_is_that_of_num_bigint(a in number(20_000), b in number(20_000)) {
        prop_assert_eq!(mul(&a, &b, NEVER).unwrap(), &a * &b);
        prop_assert_eq!(square(&a, NEVER).unwrap(), &a * &a);
    }

    #[test]
    fn quotient_and_remainder_are_exact(u in number(9_000), d in number(4_000)) {
        let d = d + 1u32;
        let (quotient, rest) = Divisor::new(d.clone(), NEVER).unwrap().div_rem(&u, NEVER).unwrap();
        prop_assert_eq!((quotient, rest), u.div_rem(&d));
    }

    #[test]
    fn a_multiple_leaves_nothing_and_one_less_leaves_the_most(q in number(4_000), d in number(4_000)) {
        let (q, d) = (q + 1u32, d + 1u32);
        let divisor = Divisor::new(d.clone(), NEVER).unwrap();
        let product = &q * &d;
        prop_assert_eq!(divisor.div_rem(&product, NEVER).unwrap(), (q.clone(), BigUint::ZERO));
        prop_assert_eq!(divisor.div_rem(&(product - 1u32), NEVER).unwrap(), (q - 1u32, d - 1u32));
    }

    #[test]
    fn the_root_is_that_of_num_bigint(value in number(3_000)) {
        prop_assert_eq!(floor_root(&value, NEVER).unwrap(), value.sqrt());
    }

    #[test]
    fn squares_and_their_neighbours_have_the_right_root(root in number(3_000)) {
        let root = root + 1u32;
        let square = &root * &root;
        prop_assert_eq!(&floor_root(&square, NEVER).unwrap(), &root);
        prop_assert_eq!(&floor_root(&(&square + (&root << 1u32)), NEVER).unwrap(), &root);
        prop_assert_eq!(floor_root(&(square - 1u32), NEVER).unwrap(), root - 1u32);
    }

    #[test]
    fn decimal_text_is_that_of_num_bigint(value in number(3_000), more in 0..3_000usize) {
        let text = value.to_string();
        let width = text.len() + more;
        let mut out = Vec::new();
        write_decimal(value, width as u64, &mut out, NEVER).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{text:0>width$}"));
    }

    #[test]
    fn bytes_give_the_triple_back_and_torn_ones_nothing(
        start in 0..3_000u64, len in 0..200u64, cut in any::<prop::sample::Index>(), bit in 0..8u32,
    ) {
        let triple = Series::new(1_000_000).part(start..start + len, NEVER).unwrap();
        let mut bytes = triple.to_bytes();
        prop_assert_eq!(Triple::from_bytes(&bytes), Some(triple));
        let at = cut.index(bytes.len());
        prop_assert_eq!(Triple::from_bytes(&bytes[..at]), None);
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(Triple::from_bytes(&bytes), None);
        bytes[at] ^= 1 << bit;
        bytes.push(0);
        prop_assert_eq!(Triple::from_bytes(&bytes), None);
    }

    #[test]
    fn however_a_range_is_cut_its_triple_is_the_same(a in 0..500u64, b in 1..500u64, c in 1..500u64) {
        let series = Series::new(100_000);
        let left = series.part(a..a + b, NEVER).unwrap();
        let right = series.part(a + b..a + b + c, NEVER).unwrap();
        let joined = series.join(left, right, NEVER).unwrap();
        prop_assert_eq!(joined, series.part(a..a + b + c, NEVER).unwrap());
    }
}

/// Numbers of as many words as are next to each length at which products are made in another way or a transform grows; with
/// all ones, where sums of products are the largest, and alone ones at the ends.
#[test]
fn products_are_exact_around_every_threshold() {
    let one = BigUint::from(1u32);
    for words in [1u64, 2, 599, 600, 601, 1023, 1024, 1199, 1200, 1201, 4999, 5000, 20_000, 20_001] {
        let ones = (&one << (64 * words)) - 1u32;
        let ends = (&one << (64 * words - 1)) + 1u32;
        for other in [1u64, 2, 600, 601, 1203] {
            let short = (&one << (64 * other)) - 1u32;
            assert_eq!(mul(&ones, &short, NEVER).unwrap(), (&ones << (64 * other)) - &ones, "{words} by {other}");
            assert_eq!(mul(&short, &ends, NEVER).unwrap(), (&short << (64 * words - 1)) + &short, "{other} by {words}");
        }
        let squared = ((&one << (128 * words)) + 1u32) - (&one << (64 * words + 1));
        assert_eq!(square(&ones, NEVER).unwrap(), squared, "{words} squared");
        assert_eq!(mul(&ones, &ones.clone(), NEVER).unwrap(), squared, "{words} by itself");
    }
}

/// Long factors of all ones, whose sums are the largest of all.
#[test]
fn a_product_of_the_longest_pieces_is_exact() {
    let (one, words) = (BigUint::from(1u32), 600_000u64);
    let ones = (&one << (64 * words)) - 1u32;
    let squared = ((&one << (128 * words)) + 1u32) - (&one << (64 * words + 1));
    assert!(square(&ones, NEVER).unwrap() == squared);
}

#[test]
fn a_product_is_left_when_it_is_stopped() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let ones = (BigUint::from(1u32) << 640_000u32) - 1u32;
    let stop = || asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 5;
    assert_eq!(mul(&ones, &ones.clone(), &stop), Err(Stopped));
}

#[test]
fn powers_are_exact() {
    for exponent in [0, 1, 2, 3, 64, 12_345] {
        let expected = BigUint::from(5u32).pow(exponent);
        assert_eq!(power(5, u64::from(exponent), NEVER).unwrap(), expected);
    }
}

#[test]
fn text_longer_than_a_block_comes_in_order() {
    let (front, back) = ("123456789", "987654321");
    let (front_value, back_value) = (123_456_789u32, 987_654_321u32);
    let places = 2_600_000;
    let value = power(10, places - 9, NEVER).unwrap() * front_value + back_value;
    let mut out = Vec::new();
    write_decimal(value, places, &mut out, NEVER).unwrap();
    let zeros = "0".repeat(2_600_000 - 18);
    assert_eq!(String::from_utf8(out).unwrap(), format!("{front}{zeros}{back}"));
}
