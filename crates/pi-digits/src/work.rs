//! What is to be done, in order, and how much work each step is.

use std::ops::Range;

use super::chudnovsky::{Series, Triple, length};
use super::pi::{InverseRoot, PiValue};
use super::{StopCheck, Stopped};

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
pub struct PiPlan {
    /// In the order in which they are to be done. The last one is the text, which takes the value.
    pub steps: Vec<PlanStep>,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanStep {
    /// What is to be done.
    pub kind: StepKind,
    /// About how much work that is, in words of transforms.
    pub work: f64,
}

/// A kind of step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// [`Series::part`] of these terms.
    Part(Range<u64>),
    /// [`Series::join`] of the two triples that together are these terms.
    Join(Range<u64>),
    /// [`InverseRoot::of`].
    Root,
    /// [`PiValue::of`].
    Division,
    /// [`PiValue::write`].
    Text,
}

/// A number on the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackValue {
    /// The sum of some terms.
    Terms(Triple),
    /// The inverse root of 10005.
    Root(InverseRoot),
    /// Pi itself.
    Value(PiValue),
}

/// Which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueName {
    /// The sum of these terms.
    Terms(Range<u64>),
    /// The inverse root of 10005.
    Root,
    /// Pi itself.
    Value,
}

impl PiPlan {
    /// The steps for `series`, its sum cut into at most `parts` parts.
    pub fn of(series: Series, parts: usize) -> Self {
        let mut steps = Vec::new();
        order(series, &series.parts(parts), &mut steps);
        let unit = products(f64::from(series.digits()));
        for (kind, units) in [(StepKind::Root, ROOT), (StepKind::Division, DIVISION), (StepKind::Text, TEXT)] {
            steps.push(PlanStep { kind, work: units * unit });
        }
        Self { steps }
    }

    /// What lies on the stack after `steps` steps.
    pub fn stack(&self, steps: usize) -> Vec<ValueName> {
        let mut stack = Vec::new();
        for step in self.steps.iter().take(steps) {
            let (taken, name) = match &step.kind {
                StepKind::Part(range) => (0, Some(ValueName::Terms(range.clone()))),
                StepKind::Join(range) => (2, Some(ValueName::Terms(range.clone()))),
                StepKind::Root => (0, Some(ValueName::Root)),
                StepKind::Division => (2, Some(ValueName::Value)),
                StepKind::Text => (1, None),
            };
            stack.truncate(stack.len().saturating_sub(taken));
            stack.extend(name);
        }
        stack
    }
}

impl StepKind {
    /// Does the step, but for the text: that is [`PiValue::write`].
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true. The stack is then not what it was.
    ///
    /// # Panics
    /// Where the stack is not that of the steps before.
    pub fn run(&self, series: Series, stack: &mut Vec<StackValue>, stop: StopCheck<'_>) -> Result<(), Stopped> {
        let piece = match self {
            StepKind::Part(range) => StackValue::Terms(series.part(range.clone(), stop)?),
            StepKind::Join(_) => match (stack.pop(), stack.pop()) {
                (Some(StackValue::Terms(right)), Some(StackValue::Terms(left))) => StackValue::Terms(series.join(left, right, stop)?),
                _ => panic!("two triples are joined"),
            },
            StepKind::Root => StackValue::Root(InverseRoot::of(series, stop)?),
            StepKind::Division => match (stack.pop(), stack.pop()) {
                (Some(StackValue::Root(root)), Some(StackValue::Terms(whole))) => {
                    StackValue::Value(PiValue::of(series, whole, root, stop)?)
                }
                _ => panic!("the sum and the root are divided"),
            },
            StepKind::Text => return Ok(()),
        };
        stack.push(piece);
        Ok(())
    }
}

impl StackValue {
    /// Which one it is.
    pub fn name(&self) -> ValueName {
        match self {
            StackValue::Terms(triple) => ValueName::Terms(triple.range()),
            StackValue::Root(_) => ValueName::Root,
            StackValue::Value(_) => ValueName::Value,
        }
    }
}

impl std::fmt::Display for ValueName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ValueName::Terms(range) => write!(f, "terms-{}-{}", range.start, range.end),
            ValueName::Root => f.write_str("root"),
            ValueName::Value => f.write_str("value"),
        }
    }
}

/// The work of some products of numbers of `digits` digits.
fn products(digits: f64) -> f64 {
    digits * digits.max(2.0).log2()
}

/// The parts and the joins between them: each join right behind what it joins.
fn order(series: Series, parts: &[Range<u64>], steps: &mut Vec<PlanStep>) {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return;
    };
    let range = first.start..last.end;
    if parts.len() == 1 {
        let work = part_work(series, &range);
        return steps.push(PlanStep { kind: StepKind::Part(range), work });
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    order(series, left, steps);
    order(series, right, steps);
    let work = join_work(series, &range);
    steps.push(PlanStep { kind: StepKind::Join(range), work });
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
