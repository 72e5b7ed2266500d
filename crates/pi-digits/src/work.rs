//! What is to be done, in order, and how much work each step is.

use std::ops::Range;

use super::chudnovsky::{Series, Triple, length};
use super::pi::{Pi, Root};
use super::{Stop, Stopped};

/// The work of a join, the root, the division and the text of numbers of d digits, in `d log2 d` words of transforms; measured
/// from a million to ten million digits. The text is packed as it is written.
const JOIN: f64 = 1.62;
const LAST_JOIN: f64 = 1.35;
const ROOT: f64 = 1.6;
const DIVISION: f64 = 3.4;
const TEXT: f64 = 6.0;

/// Ranges of fewer terms than this take next to no time.
const FREE: f64 = 250.0;

/// The steps of a computation. They are a stack machine: a part pushes its triple, a join takes the two on top and pushes
/// theirs, the root is pushed, the division takes it and the whole sum and pushes the value. So few numbers are held at once,
/// and what is on the stack is all there is to save.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order in which they are to be done. The last one is the text, which takes the value.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is to be done.
    pub what: What,
    /// About how much work that is, in words of transforms.
    pub work: f64,
}

/// A kind of step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// [`Series::part`] of these terms.
    Part(Range<u64>),
    /// [`Series::join`] of the two triples that together are these terms.
    Join(Range<u64>),
    /// [`Root::of`].
    Root,
    /// [`Pi::of`].
    Division,
    /// [`Pi::write`].
    Text,
}

/// A number on the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The sum of some terms.
    Terms(Triple),
    /// The inverse root of 10005.
    Root(Root),
    /// Pi itself.
    Value(Pi),
}

/// Which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The sum of these terms.
    Terms(Range<u64>),
    /// The inverse root of 10005.
    Root,
    /// Pi itself.
    Value,
}

impl Plan {
    /// The steps for `series`, its sum cut into at most `parts` parts.
    pub fn of(series: Series, parts: usize) -> Self {
        let mut steps = Vec::new();
        order(series, &series.parts(parts), &mut steps);
        let unit = products(f64::from(series.digits()));
        for (what, units) in [(What::Root, ROOT), (What::Division, DIVISION), (What::Text, TEXT)] {
            steps.push(Step { what, work: units * unit });
        }
        Self { steps }
    }

    /// What lies on the stack after `steps` steps.
    pub fn stack(&self, steps: usize) -> Vec<Name> {
        let mut stack = Vec::new();
        for step in self.steps.iter().take(steps) {
            let (taken, name) = match &step.what {
                What::Part(range) => (0, Some(Name::Terms(range.clone()))),
                What::Join(range) => (2, Some(Name::Terms(range.clone()))),
                What::Root => (0, Some(Name::Root)),
                What::Division => (2, Some(Name::Value)),
                What::Text => (1, None),
            };
            stack.truncate(stack.len().saturating_sub(taken));
            stack.extend(name);
        }
        stack
    }
}

impl What {
    /// Does the step, but for the text: that is [`Pi::write`].
    ///
    /// # Errors
    /// [`Stopped`] where `stop` says so. The stack is then not what it was.
    ///
    /// # Panics
    /// Where the stack is not that of the steps before.
    pub fn run(&self, series: Series, stack: &mut Vec<Piece>, stop: Stop<'_>) -> Result<(), Stopped> {
        let piece = match self {
            What::Part(range) => Piece::Terms(series.part(range.clone(), stop)?),
            What::Join(_) => match (stack.pop(), stack.pop()) {
                (Some(Piece::Terms(right)), Some(Piece::Terms(left))) => Piece::Terms(series.join(left, right, stop)?),
                _ => panic!("two triples are joined"),
            },
            What::Root => Piece::Root(Root::of(series, stop)?),
            What::Division => match (stack.pop(), stack.pop()) {
                (Some(Piece::Root(root)), Some(Piece::Terms(whole))) => {
                    Piece::Value(Pi::of(series, whole, root, stop)?)
                }
                _ => panic!("the sum and the root are divided"),
            },
            What::Text => return Ok(()),
        };
        stack.push(piece);
        Ok(())
    }
}

impl Piece {
    /// Which one it is.
    pub fn name(&self) -> Name {
        match self {
            Piece::Terms(triple) => Name::Terms(triple.range()),
            Piece::Root(_) => Name::Root,
            Piece::Value(_) => Name::Value,
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Terms(range) => write!(f, "terms-{}-{}", range.start, range.end),
            Name::Root => f.write_str("root"),
            Name::Value => f.write_str("value"),
        }
    }
}

/// The work of some products of numbers of `digits` digits.
fn products(digits: f64) -> f64 {
    digits * digits.max(2.0).log2()
}

/// The parts and the joins between them: each join right behind what it joins.
fn order(series: Series, parts: &[Range<u64>], steps: &mut Vec<Step>) {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return;
    };
    let range = first.start..last.end;
    if parts.len() == 1 {
        let work = part_work(series, &range);
        return steps.push(Step { what: What::Part(range), work });
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    order(series, left, steps);
    order(series, right, steps);
    let work = join_work(series, &range);
    steps.push(Step { what: What::Join(range), work });
}

/// The work of all joins in a part: each level below has twice the joins, each of half the length.
fn part_work(series: Series, range: &Range<u64>) -> f64 {
    let levels = ((range.end - range.start) as f64 / FREE).log2().max(1.0);
    let digits = (length(range.end) - length(range.start)).max(2.0);
    join_work(series, range) * levels * (1.0 - (levels - 1.0) / 2.0 / digits.log2())
}

/// The work of the last join in `range`, which is less where nothing follows.
fn join_work(series: Series, range: &Range<u64>) -> f64 {
    let units = if range.end >= series.terms() { LAST_JOIN } else { JOIN };
    units * products(length(range.end) - length(range.start))
}
