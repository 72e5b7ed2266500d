//! What is to be done, in order, and what share of the whole time each step takes.

use std::ops::Range;

use super::chudnovsky::{Series, length};
use super::product::EXPONENT;

/// The time of the root, the division and the text, in products of two numbers of as many digits as are wanted; measured
/// at a million digits.
const ROOT: f64 = 8.1;
const DIVISION: f64 = 7.2;
const TEXT: f64 = 10.7;

/// Ranges of fewer terms than this take next to no time.
const FREE: f64 = 100.0;

/// The steps of a computation. They are a stack machine: a part pushes its triple, a join takes the two on top and pushes
/// theirs, so that few triples are held at once, and what is on the stack is all there is to save.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order in which they are to be done; the shares add up to 1.
    pub steps: Vec<Step>,
}

/// One step, and its share of the whole time (0 to 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is to be done.
    pub what: What,
    /// Its share of the whole time.
    pub share: f64,
}

/// A kind of step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// [`Series::part`] of these terms.
    Part(Range<u64>),
    /// [`Series::join`] of the two triples that together are these terms.
    Join(Range<u64>),
    /// [`super::sqrt_10005`].
    Root,
    /// [`super::Pi::of`].
    Division,
    /// [`super::Pi::write`].
    Text,
}

impl Plan {
    /// The steps for `series`, its sum cut into at most `parts` parts.
    ///
    /// The shares come from the number of products in a step and from how the time of a product grows with its length;
    /// the ends of the sum, the root and the division follow the clock to within 4 hundredths of the whole at 1 and at 10 million
    /// digits, on two cores.
    pub fn of(series: Series, parts: usize) -> Self {
        let mut steps = Vec::new();
        order(series, &series.parts(parts), &mut steps);
        let product = product(f64::from(series.digits()));
        for (what, products) in [(What::Root, ROOT), (What::Division, DIVISION), (What::Text, TEXT)] {
            let share = products * product;
            steps.push(Step { what, share });
        }
        let whole: f64 = steps.iter().map(|step| step.share).sum();
        for step in &mut steps {
            step.share /= whole;
        }
        Self { steps }
    }
}

/// Time of a product of two numbers of `digits` digits, in some unit.
fn product(digits: f64) -> f64 {
    digits.powf(EXPONENT)
}

/// The parts and the joins between them: each join right behind what it joins. Shares are times yet.
fn order(series: Series, parts: &[Range<u64>], steps: &mut Vec<Step>) {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return;
    };
    let range = first.start..last.end;
    let join = join_time(series, &range);
    if parts.len() == 1 {
        let share = join * levels(&range);
        let what = What::Part(range);
        return steps.push(Step { what, share });
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    order(series, left, steps);
    order(series, right, steps);
    let what = What::Join(range);
    steps.push(Step { what, share: join });
}

/// Time of all joins in `range` in units of the last: each level below has twice the joins, each of half the length.
fn levels(range: &Range<u64>) -> f64 {
    let levels = ((range.end - range.start) as f64 / FREE).log2().max(1.0);
    let level = 2f64.powf(1.0 - EXPONENT);
    (1.0 - level.powf(levels)) / (1.0 - level)
}

/// Time of the last join in `range`: four products of numbers half as long as its own, or three where nothing follows.
fn join_time(series: Series, range: &Range<u64>) -> f64 {
    let products = if range.end >= series.terms() { 3.0 } else { 4.0 };
    products * product((length(range.end) - length(range.start)) / 2.0)
}
