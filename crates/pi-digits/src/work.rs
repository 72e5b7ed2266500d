//! The plan of a computation: its steps in order, and the estimated work of each.

use std::ops::Range;

use super::chudnovsky::{Series, Triple, length};
use super::pi::{InverseRoot, PiValue};
use super::{StopCheck, Stopped};

/// Work of a join, the root, the division and the text for numbers of d digits, in `d log2 d` words of transforms. Measured
/// from 1 to 10 million digits. The text includes its compression.
const JOIN: f64 = 1.62;
const LAST_JOIN: f64 = 1.35;
const ROOT: f64 = 1.6;
const DIVISION: f64 = 3.4;
const TEXT: f64 = 6.0;

/// Number of terms below which the work of a range is negligible.
const NEGLIGIBLE: f64 = 250.0;

/// The steps of a computation, a program for a stack machine. A part pushes its triple. A join pops two triples and pushes
/// their join. The root pushes the inverse root. The division pops the root and the complete sum and pushes the value.
///
/// The stack is short, and it is all there is to save between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct PiPlan {
    /// The steps in order. The last one is the text, which pops the value.
    pub steps: Vec<PlanStep>,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanStep {
    /// Kind of step.
    pub kind: StepKind,
    /// Estimated work, in words of transforms: see [`StopCheck`].
    pub work: f64,
}

/// Kind of step, with the terms it is about.
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

/// A value on the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackValue {
    /// The sum of some terms.
    Terms(Triple),
    /// The inverse root of 10005.
    Root(InverseRoot),
    /// Pi itself.
    Value(PiValue),
}

/// Identifies a value on the stack. `Display` gives a file name.
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
    /// Returns the steps for `series`, with the sum split into at most `parts` parts.
    pub fn of(series: Series, parts: usize) -> Self {
        let mut steps = Vec::new();
        order(series, &series.parts(parts), &mut steps);
        let unit = products(f64::from(series.digits()));
        for (kind, units) in [(StepKind::Root, ROOT), (StepKind::Division, DIVISION), (StepKind::Text, TEXT)] {
            steps.push(PlanStep { kind, work: units * unit });
        }
        Self { steps }
    }

    /// Returns the names of the values on the stack after `steps` steps.
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
    /// Runs the step on `stack`. Does nothing for the text: call [`PiValue::write`] instead.
    ///
    /// # Errors
    /// [`Stopped`] if `stop` returns true. The stack is then unusable.
    ///
    /// # Panics
    /// If the stack is not that of the previous steps.
    pub fn run(&self, series: Series, stack: &mut Vec<StackValue>, stop: StopCheck<'_>) -> Result<(), Stopped> {
        let piece = match self {
            StepKind::Part(range) => StackValue::Terms(series.part(range.clone(), stop)?),
            StepKind::Join(_) => match (stack.pop(), stack.pop()) {
                (Some(StackValue::Terms(right)), Some(StackValue::Terms(left))) => {
                    StackValue::Terms(series.join(left, right, stop)?)
                }
                _ => panic!("a join needs two triples on the stack"),
            },
            StepKind::Root => StackValue::Root(InverseRoot::of(series, stop)?),
            StepKind::Division => match (stack.pop(), stack.pop()) {
                (Some(StackValue::Root(root)), Some(StackValue::Terms(whole))) => {
                    StackValue::Value(PiValue::of(series, whole, root, stop)?)
                }
                _ => panic!("the division needs the sum and the root on the stack"),
            },
            StepKind::Text => return Ok(()),
        };
        stack.push(piece);
        Ok(())
    }
}

impl StackValue {
    /// Returns the name of the value.
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

/// Returns the unit of work for numbers of `digits` digits.
fn products(digits: f64) -> f64 {
    digits * digits.max(2.0).log2()
}

/// Adds the steps that sum the parts: each join directly after the two that it joins.
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

/// Returns the work of all joins in a part. Each level below has twice as many joins, each of half the length.
fn part_work(series: Series, range: &Range<u64>) -> f64 {
    let levels = ((range.end - range.start) as f64 / NEGLIGIBLE).log2().max(1.0);
    let digits = (length(range.end) - length(range.start)).max(2.0);
    join_work(series, range) * levels * (1.0 - (levels - 1.0) / 2.0 / digits.log2())
}

/// Returns the work of the last join in `range`. It is less at the end of the series, where `p` is not needed.
fn join_work(series: Series, range: &Range<u64>) -> f64 {
    let units = if range.end >= series.terms() { LAST_JOIN } else { JOIN };
    units * products(length(range.end) - length(range.start))
}
