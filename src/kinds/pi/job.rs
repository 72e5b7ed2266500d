//! Runs the steps of a computation one after the other, and saves their results.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{parts, text};
use crate::clock::Clock;
use crate::runner::{Context, Failure, Report, StopReason};
use pi_digits::{PiPlan, PlanStep, Series, StackValue, StepKind, Stopped, ValueName, WriteError};

/// Maximum number of parts of the sum.
const PARTS: usize = 32;

/// Minimum time between two saves, and minimum ratio of that time to the duration of the last save.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);
const SAVE_RATIO: u32 = 10;

/// Time between two progress reports within a step.
const REPORT_INTERVAL: Duration = Duration::from_millis(10);

/// Cursor of a computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiCursor {
    /// Number of guard digits, computed beyond the requested ones.
    guard: u32,
    /// Number of steps of the plan whose results are saved.
    steps: usize,
    /// Digits that were reported. Progress does not go back when steps are repeated.
    #[serde(default, rename = "told")]
    reported: u64,
}

/// A running computation.
pub struct PiJob<'a> {
    context: &'a Context,
    series: Series,
    plan: PiPlan,
    stack: Vec<StackValue>,
    /// Number of steps that are done.
    done: usize,
    /// Number of steps after which the stack was saved, and its pieces.
    saved: (usize, Vec<ValueName>),
    /// When the stack was saved, and how long that took.
    last_save: (Instant, Duration),
    reported: u64,
}

impl<'a> PiJob<'a> {
    /// Resumes from what is saved, or starts over if that is incomplete. Uses `guard` guard digits, or as many as before.
    pub async fn resume(context: &'a Context, digits: u32, guard: Option<u32>) -> Result<PiJob<'a>, StopReason> {
        let cursor = context.cursor::<PiCursor>()?;
        let reported = cursor.map_or(0, |cursor| cursor.reported);
        let guard = guard.or(cursor.map(|cursor| cursor.guard));
        let series = guard.map_or(Series::new(digits), |guard| Series::with_guard(digits, guard));
        let plan = PiPlan::of(series, PARTS);
        let cursor = cursor.filter(|cursor| cursor.guard == series.guard());
        let steps = cursor.map_or(0, |cursor| cursor.steps).min(plan.steps.len());
        let loaded = parts::load(context, &plan, steps).await?;
        let (stack, done) = loaded.map_or((Vec::new(), 0), |stack| (stack, steps));
        let saved = (done, plan.stack(done));
        let last_save = (Clock::monotonic(), Duration::ZERO);
        let mut job = PiJob { context, series, plan, stack, done, saved, last_save, reported };
        job.report_progress(0.0).await?;
        Ok(job)
    }

    /// Runs the remaining steps. Returns the next number of guard digits to try if they do not determine the last digit.
    pub async fn run(mut self, zip: text::PiZip) -> Result<Option<u32>, StopReason> {
        while let Some(step) = self.plan.steps.get(self.done).cloned() {
            if step.kind == StepKind::Text {
                break;
            }
            let (series, mut stack) = (self.series, std::mem::take(&mut self.stack));
            let kind = step.kind.clone();
            let computed = self.compute(&step, move |stop| kind.run(series, &mut stack, stop).map(|()| stack));
            self.stack = computed.await?.map_err(|Stopped| StopReason::Interrupted)?;
            self.done += 1;
            self.save_stack().await?;
        }
        self.write(zip).await
    }

    async fn write(&mut self, zip: text::PiZip) -> Result<Option<u32>, StopReason> {
        let (series, step) = (self.series, self.plan.steps.last().cloned());
        let (Some(StackValue::Value(value)), Some(step)) = (self.stack.pop(), step) else {
            return Err(Failure::internal("The value of pi was not computed.").into());
        };
        let written = self.compute(&step, move |stop| zip.write(series, value, stop)).await?;
        match written {
            Ok(()) => Ok(None),
            Err(WriteError::Unsettled) => Ok(Some(series.wider().guard())),
            Err(WriteError::Stopped) => Err(StopReason::Interrupted),
            Err(WriteError::Io(error)) => Err(Failure::io("the zip file", &error).into()),
        }
    }

    /// Runs `work` on the computing threads, and reports its progress.
    async fn compute<T: Send + 'static>(
        &mut self,
        step: &PlanStep,
        work: impl FnOnce(pi_digits::StopCheck<'_>) -> T + Send + 'static,
    ) -> Result<T, StopReason> {
        let worked = Arc::new(AtomicU64::new(0));
        let (counted, context) = (Arc::clone(&worked), self.context.clone());
        let computing = self.context.compute(move || {
            work(&|more| {
                counted.fetch_add(more, Ordering::Relaxed);
                context.stop_requested()
            })
        });
        let (mut computing, mut due) = (pin!(computing), tokio::time::interval(REPORT_INTERVAL));
        loop {
            tokio::select! {
                biased;
                outcome = &mut computing => return Ok(outcome?),
                _ = due.tick() => self.report_progress((worked.load(Ordering::Relaxed) as f64).min(step.work)).await?,
            }
        }
    }

    /// Saves the stack, unless it was saved a moment ago.
    async fn save_stack(&mut self) -> Result<(), StopReason> {
        let (at, took) = self.last_save;
        if at.elapsed() < SAVE_INTERVAL.max(took * SAVE_RATIO) {
            return self.report_progress(0.0).await;
        }
        let begin = Clock::monotonic();
        let names: Vec<_> = self.stack.iter().map(StackValue::name).collect();
        for (piece, name) in self.stack.iter().zip(&names).filter(|(_, name)| !self.saved.1.contains(name)) {
            parts::save(self.context, name, piece.to_bytes()).await?;
        }
        let (_, before) = std::mem::replace(&mut self.saved, (self.done, names));
        let (cursor, report) = self.report(0.0);
        self.context.commit(&cursor, report).await?;
        for name in before.iter().filter(|name| !self.saved.1.contains(name)) {
            parts::delete(self.context, name).await?;
        }
        self.last_save = (Clock::monotonic(), begin.elapsed());
        Ok(())
    }

    /// Reports the work that is done: that of the steps, and `more` of the next one.
    async fn report_progress(&mut self, more: f64) -> Result<(), StopReason> {
        let (cursor, report) = self.report(more);
        self.context.checkpoint(&cursor, report).await
    }

    fn report(&mut self, more: f64) -> (PiCursor, Report) {
        let work = |steps: &[PlanStep]| steps.iter().map(|step| step.work).sum::<f64>();
        let (done, left) = self.plan.steps.split_at(self.done);
        let share = (work(done) + more) / (work(done) + work(left));
        let digits = u64::from(self.series.digits());
        // A share of a u32 fits. The last digit counts only when everything is done.
        self.reported = self.reported.max((share * digits as f64) as u64).min(digits.saturating_sub(1));
        let phase = match left.first().map(|step| &step.kind) {
            Some(StepKind::Part(_) | StepKind::Join(_)) => "summing",
            Some(StepKind::Root | StepKind::Division) => "dividing",
            Some(StepKind::Text) | None => "writing",
        };
        let cursor = PiCursor { guard: self.series.guard(), steps: self.saved.0, reported: self.reported };
        (cursor, Report { phase, done: self.reported, total: Some(digits) })
    }
}
