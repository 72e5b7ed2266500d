//! Arithmetic of pi, without a server. `cargo bench --bench arithmetic -- product` measures products of two numbers of equal
//! length beside num-bigint, and `-- digits` complete computations including the text.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use num_bigint::BigUint;
use pi_digits::{PiPlan, Series, StackValue, StopCheck, product};

/// Lengths of the factors in words of 64 bits: around each change of algorithm, and far beyond.
const WORDS: [usize; 9] = [100, 400, 600, 1_000, 3_000, 10_000, 52_000, 520_000, 2_000_000];

/// Length from which num-bigint takes seconds.
const TOO_LONG: usize = 100_000;

const DIGITS: [u32; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

const NEVER: StopCheck<'static> = &|_| false;

/// Returns a pseudorandom number of `words` words (Knuth's generator for 64 bits).
fn number(words: usize, seed: u64) -> BigUint {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    BigUint::new(std::iter::repeat_with(next).take(2 * words).collect())
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(2));
    for words in WORDS {
        let (a, b) = (number(words, 1), number(words, 2));
        group.throughput(Throughput::Elements(words as u64));
        group.bench_function(BenchmarkId::new("pi-digits", words), |bencher| {
            bencher.iter(|| product::mul(black_box(&a), black_box(&b), NEVER).unwrap());
        });
        if words < TOO_LONG {
            group.bench_function(BenchmarkId::new("num-bigint", words), |bencher| {
                bencher.iter(|| black_box(&a) * black_box(&b));
            });
        }
    }
    group.finish();
}

fn digits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("digits");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(2));
    for digits in DIGITS {
        group.throughput(Throughput::Elements(u64::from(digits)));
        group.bench_function(BenchmarkId::from_parameter(digits), |bencher| bencher.iter(|| text(digits)));
    }
    group.finish();
}

fn text(digits: u32) -> Vec<u8> {
    let series = Series::new(digits);
    let (mut stack, mut text) = (Vec::new(), Vec::new());
    for step in PiPlan::of(series, 32).steps {
        step.kind.run(series, &mut stack, NEVER).unwrap();
    }
    let Some(StackValue::Value(value)) = stack.pop() else { panic!("the value") };
    value.write(series, &mut text, NEVER).unwrap();
    text
}

criterion_group!(arithmetic, products, digits);
criterion_main!(arithmetic);
