//! A computation under way: the steps of its plan one after the other, what is finished kept on disk now and then.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{parts, text};
use crate::clock::Clock;
use crate::runner::{Context, Failure, Report, StopReason};
use pi_digits::{Name, Piece, Plan, Series, Step, Stopped, What, WriteError};

/// The sum is cut into at most so many parts.
const PARTS: usize = 32;

/// What is finished is kept on disk no more often than this, and for no more than a tenth of the time.
const KEEP_EVERY: Duration = Duration::from_millis(250);
const KEEP_SHARE: u32 = 10;

/// Progress within a step is told so often.
const TELL_EVERY: Duration = Duration::from_millis(10);

/// How far a computation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Digits that are computed behind those wanted.
    guard: u32,
    /// Steps of the plan whose outcome is on disk.
    steps: usize,
    /// Digits that were told: progress does not go back with what is computed anew.
    #[serde(default)]
    told: u64,
}

/// A computation under way.
pub struct Job<'a> {
    context: &'a Context,
    series: Series,
    plan: Plan,
    stack: Vec<Piece>,
    /// Steps that are done.
    done: usize,
    /// Steps after which the stack is on disk, and its pieces.
    kept: (usize, Vec<Name>),
    /// When it was kept, and how long that took.
    keeping: (Instant, Duration),
    told: u64,
}

impl<'a> Job<'a> {
    /// Takes up what is on disk, or begins anew where that is not whole. With `guard` digits to spare, or as many as before.
    pub async fn resume(context: &'a Context, digits: u32, guard: Option<u32>) -> Result<Job<'a>, StopReason> {
        let cursor = context.cursor::<Cursor>()?;
        let told = cursor.map_or(0, |cursor| cursor.told);
        let guard = guard.or(cursor.map(|cursor| cursor.guard));
        let series = guard.map_or(Series::new(digits), |guard| Series::with_guard(digits, guard));
        let plan = Plan::of(series, PARTS);
        let cursor = cursor.filter(|cursor| cursor.guard == series.guard());
        let steps = cursor.map_or(0, |cursor| cursor.steps).min(plan.steps.len());
        let loaded = parts::load(context, &plan, steps).await?;
        let (stack, done) = loaded.map_or((Vec::new(), 0), |stack| (stack, steps));
        let kept = (done, plan.stack(done));
        let keeping = (Clock::monotonic(), Duration::ZERO);
        let mut job = Job { context, series, plan, stack, done, kept, keeping, told };
        job.tell(0.0).await?;
        Ok(job)
    }

    /// Does what is left. None where the digits to spare do not settle the last one wanted: so many are to be tried next.
    pub async fn run(mut self, zip: text::Zip) -> Result<Option<u32>, StopReason> {
        while let Some(step) = self.plan.steps.get(self.done).cloned() {
            if step.what == What::Text {
                break;
            }
            let (series, mut stack) = (self.series, std::mem::take(&mut self.stack));
            let what = step.what.clone();
            let computed = self.compute(&step, move |stop| what.run(series, &mut stack, stop).map(|()| stack));
            self.stack = computed.await?.map_err(|Stopped| StopReason::Interrupted)?;
            self.done += 1;
            self.keep().await?;
        }
        self.write(zip).await
    }

    async fn write(&mut self, zip: text::Zip) -> Result<Option<u32>, StopReason> {
        let (series, step) = (self.series, self.plan.steps.last().cloned());
        let (Some(Piece::Value(value)), Some(step)) = (self.stack.pop(), step) else {
            return Err(Failure::internal("the value of pi was not computed").into());
        };
        let written = self.compute(&step, move |stop| zip.write(series, value, stop)).await?;
        match written {
            Ok(()) => Ok(None),
            Err(WriteError::Unsettled) => Ok(Some(series.wider().guard())),
            Err(WriteError::Stopped) => Err(StopReason::Interrupted),
            Err(WriteError::Io(error)) => Err(Failure::io("the zip file", &error).into()),
        }
    }

    /// Works on the computing threads, and tells how far that is.
    async fn compute<T: Send + 'static>(
        &mut self,
        step: &Step,
        work: impl FnOnce(pi_digits::Stop<'_>) -> T + Send + 'static,
    ) -> Result<T, StopReason> {
        let worked = Arc::new(AtomicU64::new(0));
        let (counted, context) = (Arc::clone(&worked), self.context.clone());
        let computing = self.context.compute(move || {
            work(&|more| {
                counted.fetch_add(more, Ordering::Relaxed);
                context.stop_requested()
            })
        });
        let (mut computing, mut due) = (pin!(computing), tokio::time::interval(TELL_EVERY));
        loop {
            tokio::select! {
                biased;
                outcome = &mut computing => return Ok(outcome?),
                _ = due.tick() => self.tell((worked.load(Ordering::Relaxed) as f64).min(step.work)).await?,
            }
        }
    }

    /// Keeps the stack on disk, unless it was kept a moment ago.
    async fn keep(&mut self) -> Result<(), StopReason> {
        let (at, took) = self.keeping;
        if at.elapsed() < KEEP_EVERY.max(took * KEEP_SHARE) {
            return self.tell(0.0).await;
        }
        let begin = Clock::monotonic();
        let names: Vec<_> = self.stack.iter().map(Piece::name).collect();
        for (piece, name) in self.stack.iter().zip(&names).filter(|(_, name)| !self.kept.1.contains(name)) {
            parts::save(self.context, name, piece.to_bytes()).await?;
        }
        let (_, before) = std::mem::replace(&mut self.kept, (self.done, names));
        let (cursor, report) = self.report(0.0);
        self.context.commit(&cursor, report).await?;
        for name in before.iter().filter(|name| !self.kept.1.contains(name)) {
            parts::forget(self.context, name).await?;
        }
        self.keeping = (Clock::monotonic(), begin.elapsed());
        Ok(())
    }

    /// Tells the work that is done: that of the steps, and `more` of the next one.
    async fn tell(&mut self, more: f64) -> Result<(), StopReason> {
        let (cursor, report) = self.report(more);
        self.context.checkpoint(&cursor, report).await
    }

    fn report(&mut self, more: f64) -> (Cursor, Report) {
        let work = |steps: &[Step]| steps.iter().map(|step| step.work).sum::<f64>();
        let (done, left) = self.plan.steps.split_at(self.done);
        let share = (work(done) + more) / (work(done) + work(left));
        let digits = u64::from(self.series.digits());
        // A share of a u32 fits; the last digit is done only when all is.
        self.told = self.told.max((share * digits as f64) as u64).min(digits.saturating_sub(1));
        let phase = match left.first().map(|step| &step.what) {
            Some(What::Part(_) | What::Join(_)) => "summing",
            Some(What::Root | What::Division) => "dividing",
            Some(What::Text) | None => "writing",
        };
        let cursor = Cursor { guard: self.series.guard(), steps: self.kept.0, told: self.told };
        (cursor, Report { phase, done: self.told, total: Some(digits) })
    }
}
