//! Properties of the arithmetic, and pi itself against another formula.

use num_bigint::BigUint;
use proptest::collection::vec;
use proptest::prelude::*;

use super::checks::{self, NEVER};
use super::product::instructions::forced::each;
use super::product::{mul, slice, square};
use super::root::inverse_root;
use super::*;

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

/// A number of any length and any words, as most are.
fn common(words: usize) -> impl Strategy<Value = BigUint> {
    vec(any::<u32>(), 4..words).prop_map(BigUint::new)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn products_are_those_of_num_bigint(a in number(10_000), b in number(10_000)) {
        checks::products(&a, &b);
        checks::products(&b, &a);
    }

    #[test]
    fn quotients_are_near(a in number(6_000), b in number(6_000)) {
        checks::quotients(&a, &b);
    }

    #[test]
    fn the_inverse_root_is_near(bits in 1..100_000u64) {
        let unit = BigUint::from(1u32) << (2 * bits);
        let square = |root: BigUint| &root * &root * 10_005u32;
        each(|| {
            let root = inverse_root(bits, NEVER).unwrap();
            assert!(square(&root + 4u32) > unit);
            assert!(root < BigUint::from(4u32) || square(root - 4u32) < unit);
        });
    }

    #[test]
    fn digits_are_those_of_num_bigint(fraction in common(3_000), digits in 1..30_000u32) {
        let digits = digits.min(u32::try_from(fraction.bits() / 4).unwrap());
        prop_assert!(checks::digits(&fraction, digits));
    }

    #[test]
    fn digits_of_odd_fractions_are_right_or_not_settled(fraction in number(1_000), digits in 1..20_000u32) {
        checks::digits(&fraction, digits);
    }

    #[test]
    fn bits_are_cut_out_anywhere(number in number(20), from in 0..700u64, words in 0..20u64) {
        let expected = (&number >> from) % (BigUint::from(1u32) << (32 * words));
        prop_assert_eq!(slice(&number, from, 32 * words), expected);
    }

    #[test]
    fn bytes_give_the_piece_back_and_torn_ones_nothing(
        start in 0..3_000u64, len in 0..200u64, kind in 0..3, cut in any::<prop::sample::Index>(), bit in 0..8u32,
    ) {
        let triple = Series::new(1_000_000).part(start..start + len, NEVER).unwrap();
        let piece = match kind {
            0 => StackValue::Terms(triple),
            1 => StackValue::Root(InverseRoot(triple.q)),
            _ => StackValue::Value(PiValue { value: triple.t, bits: start }),
        };
        let mut bytes = piece.to_bytes();
        prop_assert_eq!(StackValue::from_bytes(&bytes), Some(piece));
        let at = cut.index(bytes.len());
        prop_assert_eq!(StackValue::from_bytes(&bytes[..at]), None);
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(StackValue::from_bytes(&bytes), None);
        bytes[at] ^= 1 << bit;
        bytes.push(0);
        prop_assert_eq!(StackValue::from_bytes(&bytes), None);
    }

    #[test]
    fn however_a_range_is_cut_its_triple_is_the_same(a in 0..900u64, b in 1..900u64, c in 1..900u64) {
        let series = Series::new(100_000);
        let left = series.part(a..a + b, NEVER).unwrap();
        let right = series.part(a + b..a + b + c, NEVER).unwrap();
        let joined = series.join(left, right, NEVER).unwrap();
        prop_assert_eq!(joined, series.part(a..a + b + c, NEVER).unwrap());
    }
}

/// Numbers with lengths around those at which products are made in another way or a transform grows. Their bits are all ones,
/// where sums of products are the largest, or ones at the ends alone.
#[test]
fn products_are_exact_around_every_threshold() {
    let one = BigUint::from(1u32);
    let near = [119u64, 120, 121, 149, 150, 151, 299, 300, 301, 639, 640, 641, 799, 800, 801, 1599, 1600, 1601];
    for words in [1u64, 2, 1023, 1024, 4999, 5000, 20_000, 20_001].into_iter().chain(near) {
        let ones = (&one << (64 * words)) - 1u32;
        let ends = (&one << (64 * words - 1)) + 1u32;
        for other in [1u64, 2, 120, 150, 151, 640, 800, 801, 1603] {
            let short = (&one << (64 * other)) - 1u32;
            checks::products(&short, &ones);
            checks::products(&short, &ends);
        }
        checks::products(&ones, &BigUint::ZERO);
    }
}

/// Long factors of all ones, whose sums are the largest of all.
#[test]
fn a_product_of_the_longest_pieces_is_exact() {
    let (one, words) = (BigUint::from(1u32), 600_000u64);
    let ones = (&one << (64 * words)) - 1u32;
    let squared = ((&one << (128 * words)) + 1u32) - (&one << (64 * words + 1));
    each(|| assert!(square(&ones, NEVER).unwrap() == squared));
}

#[test]
fn a_product_is_left_when_it_is_stopped() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let ones = (BigUint::from(1u32) << 640_000u32) - 1u32;
    let stop = |_| asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= 5;
    assert_eq!(mul(&ones, &ones.clone(), &stop), Err(Stopped));
}

/// All nines, or a one that ends in zeros: what the cuts could move across a border is never reported as right.
#[test]
fn digits_at_a_border_are_not_settled() {
    let one = BigUint::from(1u32);
    for digits in [10, 2_000, 20_000] {
        assert!(!checks::digits(&((&one << 100_000u32) - 1u32), digits), "{digits} nines");
        assert!(!checks::digits(&one, digits), "a half, {digits} digits");
    }
}

/// Text of more than one block, in another layout: the second call begins behind the digits of the first.
#[test]
fn text_longer_than_a_block_comes_in_order() {
    let (front, all) = (1_100_000u32, 2_600_000);
    let mut seed = 1u64;
    let words: Vec<u32> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 32) as u32
    })
    .take(280_000)
    .collect();
    let (fraction, bits) = (BigUint::new(words), 32 * 280_000);
    let text = |fraction: BigUint, digits: u32| {
        let mut text = Vec::new();
        decimal::write_fraction((fraction, bits), u64::from(digits), &mut text, NEVER).unwrap();
        text
    };
    let behind = mul(&fraction, &BigUint::from(10u32).pow(front), NEVER).unwrap();
    let behind = slice(&behind, 0, bits);
    let expected = [text(fraction.clone(), front), text(behind, all - front)].concat();
    assert!(text(fraction, all) == expected);
}

/// The text of pi, by the steps of the plan.
fn pi(series: Series) -> Result<String, WriteError> {
    let (plan, mut stack, mut text) = (PiPlan::of(series, 8), Vec::new(), Vec::new());
    for (done, step) in plan.steps.iter().enumerate() {
        let names: Vec<_> = stack.iter().map(StackValue::name).collect();
        assert_eq!(names, plan.stack(done));
        step.kind.run(series, &mut stack, NEVER).unwrap();
    }
    let Some(StackValue::Value(value)) = stack.pop() else { panic!("the value") };
    value.write(series, &mut text, NEVER)?;
    Ok(String::from_utf8(text).unwrap())
}

/// Machin's formula, `pi / 4 = 4 arctan(1 / 5) - arctan(1 / 239)`, term by term.
fn machin(digits: u32) -> String {
    let unit = BigUint::from(10u32).pow(digits + 10);
    let arctan = |x: u32| {
        let mut power = &unit / x;
        let (mut plus, mut minus) = (power.clone(), BigUint::ZERO);
        for k in (3u32..).step_by(2) {
            power /= x * x;
            if power == BigUint::ZERO {
                return plus - minus;
            }
            if k % 4 == 3 { minus += &power / k } else { plus += &power / k }
        }
        BigUint::ZERO
    };
    let text = (arctan(5) * 16u32 - arctan(239) * 4u32).to_string();
    format!("3.{}", &text[1..=digits as usize])
}

#[test]
fn pi_is_that_of_another_formula_at_many_sizes() {
    let expected = machin(60_000);
    let odd = [997, 1_000, 1_001, 3_333, 10_007, 14_999, 15_000, 15_001, 29_000, 33_333, 59_999, 60_000];
    each(|| {
        for digits in (1..300).chain(odd) {
            assert!(pi(Series::new(digits)).unwrap() == expected[..digits as usize + 2], "{digits} digits");
        }
    });
}

/// The decimals 762 to 767 are nines: with no others to spare, the one before them is not settled.
#[test]
fn nines_behind_the_last_digit_are_not_settled() {
    let series = Series::with_guard(761, 6);
    assert!(matches!(pi(series), Err(WriteError::Unsettled)));
    assert_eq!(series.wider().guard(), 12);
}
