//! Runs the steps of a computation one after the other, and saves their results.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::repetition::Repetition;
use super::{parts, text};
use crate::clock::Clock;
use crate::files::Fingerprint;
use crate::runner::{Context, Failure, Report, StopReason};
use pi_digits::{PiPlan, PlanStep, Series, StackValue, StepKind, Stopped, ValueName, WriteError};

/// Maximum number of parts of the sum.
const PARTS: usize = 32;

/// Minimum time between two saves.
const SAVE_INTERVAL: Duration = Duration::from_millis(250);

/// Minimum time between two copies of the saved parts to the blob store.
const SHARE_INTERVAL: Duration = Duration::from_secs(30);

/// Time between two progress reports within a step.
const REPORT_INTERVAL: Duration = Duration::from_millis(10);

/// Cursor of a computation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiCursor {
    /// Number of guard digits, computed beyond the requested ones.
    guard: u32,
    /// Number of steps of the plan whose results are saved.
    steps: usize,
    /// Number of steps whose results any node can fetch.
    #[serde(default)]
    shared: usize,
    /// Digits that were reported. Progress does not go back when steps are repeated.
    #[serde(default, rename = "told")]
    reported: u64,
    /// The zip file, once it is complete and staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Fingerprint>,
}

/// Maximum number of digits that are computed without threads of the run's own: starting these takes longer.
const FEW: u32 = 1000;

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
    saves: Repetition,
    /// Number of steps after which any node can fetch the stack, and its pieces.
    shared: (usize, Vec<ValueName>),
    /// Copies of what is saved to the blob store.
    shares: Repetition,
    reported: u64,
}

impl<'a> PiJob<'a> {
    /// Resumes from what is saved, or starts over if that is incomplete. Uses `guard` guard digits, or as many as before.
    pub async fn resume(context: &'a Context, digits: u32, guard: Option<u32>) -> Result<PiJob<'a>, StopReason> {
        let cursor = context.cursor::<PiCursor>()?;
        let reported = cursor.as_ref().map_or(0, |cursor| cursor.reported);
        let guard = guard.or(cursor.as_ref().map(|cursor| cursor.guard));
        let series = guard.map_or(Series::new(digits), |guard| Series::with_guard(digits, guard));
        let plan = PiPlan::of(series, PARTS);
        let cursor = cursor.filter(|cursor| cursor.guard == series.guard());
        let (steps, shared) = cursor.map_or((0, 0), |cursor| (cursor.steps, cursor.shared));
        let (steps, shared) = (steps.min(plan.steps.len()), shared.min(plan.steps.len()));
        let mut loaded = parts::load(context, &plan, steps).await?.map(|stack| (stack, steps));
        if loaded.is_none() && shared > 0 {
            loaded = parts::fetch(context, &plan, shared).await?.map(|stack| (stack, shared));
        }
        let (stack, done) = loaded.unwrap_or_default();
        let saved = (done, plan.stack(done));
        let shared = if shared > done { (0, Vec::new()) } else { (shared, plan.stack(shared)) };
        let now = Clock::monotonic();
        let (saves, shares) = (Repetition::new(SAVE_INTERVAL, now), Repetition::new(SHARE_INTERVAL, now));
        let mut job = PiJob { context, series, plan, stack, done, saved, saves, shared, shares, reported };
        job.report_progress(0.0).await?;
        Ok(job)
    }

    /// Runs the remaining steps. Returns the next number of guard digits to try if they do not determine the last digit.
    pub async fn run(&mut self, zip: text::PiZip) -> Result<Option<u32>, StopReason> {
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

    /// Records the staged zip file: a run after a failed publication uses it.
    pub fn finish(&mut self, finished: Fingerprint) -> Result<(), Failure> {
        let (cursor, report) = self.report(0.0);
        self.context.set_checkpoint(&PiCursor { finished: Some(finished), ..cursor }, report)
    }

    /// Runs `work` on computing threads, or on a shared one for a few digits, and reports its progress.
    async fn compute<T: Send + 'static>(
        &mut self,
        step: &PlanStep,
        work: impl FnOnce(pi_digits::StopCheck<'_>) -> T + Send + 'static,
    ) -> Result<T, StopReason> {
        let worked = Arc::new(AtomicU64::new(0));
        let (counted, context) = (Arc::clone(&worked), self.context.clone());
        let work = move || {
            work(&|more| {
                counted.fetch_add(more, Ordering::Relaxed);
                context.stop_requested()
            })
        };
        let (context, few) = (self.context, self.series.digits() <= FEW);
        let computing = async { if few { context.blocking(work).await } else { context.compute(work).await } };
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
        let begin = Clock::monotonic();
        if !self.saves.is_due(begin) {
            return self.report_progress(0.0).await;
        }
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
        let now = Clock::monotonic();
        self.saves.repeated(begin, now);
        if self.has_own_files() && self.shares.is_due(now) {
            self.share().await?;
        }
        Ok(())
    }

    /// Returns true if no other node sees the working files.
    fn has_own_files(&self) -> bool {
        !self.context.files().is_one_folder()
    }

    /// Copies what is saved to the blob store. Without it, another node repeats some work, so a failure does not end the run.
    async fn share(&mut self) -> Result<(), StopReason> {
        let begin = Clock::monotonic();
        let shared = parts::share(self.context, &without(&self.saved.1, &self.shared.1)).await;
        self.shares.repeated(begin, Clock::monotonic());
        if let Err(failure) = shared {
            log_not_shared(self.context, &failure);
            return Ok(());
        }
        let before = std::mem::replace(&mut self.shared, self.saved.clone());
        let (cursor, report) = self.report(0.0);
        self.context.commit(&cursor, report).await?;
        Ok(parts::withdraw(self.context, &without(&before.1, &self.shared.1)).await?)
    }

    /// Copies what is saved to the blob store before the run ends, so that any node continues. Does so even after an abort.
    pub async fn share_at_stop(&mut self) {
        if !self.has_own_files() || self.context.is_terminated() || self.saved.0 == self.shared.0 {
            return;
        }
        let (names, context) = (without(&self.saved.1, &self.shared.1), self.context.clone());
        self.shared = self.saved.clone();
        let (cursor, report) = self.report(0.0);
        let sharing = self.context.uninterrupted(async move {
            let shared = parts::share(&context, &names).await;
            if let Err(failure) = shared.and_then(|()| context.set_checkpoint(&cursor, report)) {
                log_not_shared(&context, &failure);
            }
        });
        if let Err(failure) = sharing.await {
            log_not_shared(self.context, &failure);
        }
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
        let (guard, steps, shared) = (self.series.guard(), self.saved.0, self.shared.0);
        let cursor = PiCursor { guard, steps, shared, reported: self.reported, finished: None };
        (cursor, Report { phase, done: self.reported, total: Some(digits) })
    }
}

/// Returns the names that `others` does not have.
fn without(names: &[ValueName], others: &[ValueName]) -> Vec<ValueName> {
    names.iter().filter(|name| !others.contains(name)).cloned().collect()
}

fn log_not_shared(context: &Context, failure: &Failure) {
    let error = &failure.message;
    tracing::warn!(task = %context.id(), error, "could not copy the saved parts of a computation; another node would repeat them");
}
