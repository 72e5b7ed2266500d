//! Computing pi: the steps of [`digits::Plan`] one after the other, finished parts of the sum kept on disk, the digits
//! written into a zip. [`digits`] computes and knows no disk; [`parts`] keeps the parts.

pub mod api;
pub mod digits;
mod parts;
mod text;

use std::ops::Range;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::runner::{BadInput, Context, Failure, Kind, Plan, Report, Stop};
use crate::task::{ResultFile, TaskId, Unit};
use digits::{Pi as Digits, Series, Stopped, Triple, What};

/// The kind's name in the store.
pub const NAME: &str = "pi";

/// The sum is cut into at most so many parts.
const PARTS: usize = 32;

/// The kind `pi`.
pub struct Pi {
    /// The most digits that are computed for anybody.
    pub limit: u32,
}

/// What a computation of pi is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Digits after the decimal point.
    pub digits: u32,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Digits that are computed behind those wanted.
    guard: u32,
    /// Steps of the plan whose outcome is on disk.
    steps: usize,
}

#[async_trait]
impl Kind for Pi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<Plan, BadInput> {
        let spec: Spec = super::read_spec(spec)?;
        if !(1..=self.limit).contains(&spec.digits) {
            let message = format!("{} is not a number of digits from 1 to {}", spec.digits, self.limit);
            return Err(BadInput::new("digits", message));
        }
        Ok(Plan { unit: Unit::Digits, total: Some(u64::from(spec.digits)), exclusive: None, upload: None })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, Stop> {
        let spec: Spec = context.spec()?;
        let mut series = match context.cursor::<Cursor>()? {
            Some(cursor) => Series::with_guard(spec.digits, cursor.guard),
            None => Series::new(spec.digits),
        };
        loop {
            let mut job = Job::resume(context, series).await?;
            if let Some(value) = job.compute().await? {
                return self.write(context, value).await.map(Some);
            }
            series = series.wider();
        }
    }

    async fn publish(&self, context: &Context, result: Option<&ResultFile>) -> Result<(), Failure> {
        super::publish_file(context, result).await
    }

    async fn undo(&self, context: &Context) -> Result<(), Failure> {
        super::delete_files(context).await
    }
}

impl Pi {
    async fn write(&self, context: &Context, value: Digits) -> Result<ResultFile, Stop> {
        let path = context.work().await?.join(format!("digits-{}.zip", context.epoch()));
        let (to, id, stop) = (path.clone(), context.id(), context.clone());
        context.compute(move || text::write(&to, id, value, &|| stop.stop_requested())).await??;
        let sealed = context.files().seal(context.id(), &path).await;
        let sealed = sealed.map_err(|error| Failure::io("the zip file", &error))?;
        Ok(ResultFile {
            name: format!("{}.zip", name(context.id())),
            size: sealed.size,
            content_type: "application/zip".to_owned(),
            sha256: sealed.sha256,
        })
    }
}

/// The name of the zip and of the text in it, without their endings.
fn name(id: TaskId) -> String {
    format!("digits_of_pi_{id}")
}

/// A computation under way: the triples of the steps that are done, and the steps.
struct Job<'a> {
    context: &'a Context,
    series: Series,
    plan: digits::Plan,
    stack: Vec<Triple>,
    done: usize,
}

impl<'a> Job<'a> {
    /// Takes up what is on disk, or begins anew where that is not whole.
    async fn resume(context: &'a Context, series: Series) -> Result<Job<'a>, Stop> {
        let plan = digits::Plan::of(series, PARTS);
        let cursor = context.cursor::<Cursor>()?.filter(|cursor| cursor.guard == series.guard());
        let steps = cursor.map_or(0, |cursor| cursor.steps).min(plan.steps.len());
        let kept = parts::load(context, &plan, steps).await?;
        let (stack, done) = kept.map_or((Vec::new(), 0), |stack| (stack, steps));
        let job = Job { context, series, plan, stack, done };
        job.report("summing").await?;
        Ok(job)
    }

    /// The value; none where the digits to spare do not settle the last one wanted.
    async fn compute(&mut self) -> Result<Option<Digits>, Stop> {
        while let Some(step) = self.plan.steps.get(self.done).map(|step| step.what.clone()) {
            match step {
                What::Part(range) => self.sum(move |series, _, stop| series.part(range, stop)).await?,
                What::Join(_) => self.sum(join).await?,
                What::Root | What::Division | What::Text => break,
            }
        }
        self.divide().await
    }

    /// One step of the sum, its outcome on disk before it counts.
    async fn sum<F>(&mut self, step: F) -> Result<(), Stop>
    where
        F: FnOnce(Series, &mut Vec<Triple>, digits::Stop<'_>) -> Result<Triple, Stopped> + Send + 'static,
    {
        let before: Vec<_> = self.stack.iter().map(Triple::range).collect();
        let (series, mut stack, stop) = (self.series, std::mem::take(&mut self.stack), self.context.clone());
        let computed = self.context.compute(move || {
            let triple = step(series, &mut stack, &|| stop.stop_requested())?;
            let kept = (triple.range(), triple.to_bytes());
            stack.push(triple);
            Ok::<_, Stopped>((stack, kept))
        });
        let (stack, (range, bytes)) = computed.await?.map_err(|Stopped| Stop::Interrupted)?;
        self.stack = stack;
        parts::save(self.context, &range, &bytes).await?;
        self.done += 1;
        self.report("summing").await?;
        let kept = |range: &Range<u64>| self.stack.iter().any(|triple| triple.range() == *range);
        let joined: Vec<_> = before.into_iter().filter(|range| !kept(range)).collect();
        parts::forget(self.context, &joined).await
    }

    async fn divide(&mut self) -> Result<Option<Digits>, Stop> {
        let (series, stop) = (self.series, self.context.clone());
        let root = self.context.compute(move || digits::sqrt_10005(series, &|| stop.stop_requested()));
        let root = root.await?.map_err(|Stopped| Stop::Interrupted)?;
        self.report_share("dividing", 1).await?;
        let Some(whole) = self.stack.pop() else { return Ok(None) };
        let stop = self.context.clone();
        let quotient = self.context.compute(move || Digits::of(series, whole, root, &|| stop.stop_requested()));
        let value = quotient.await?.map_err(|Stopped| Stop::Interrupted)?;
        self.report_share("writing", 2).await?;
        Ok(value)
    }

    async fn report(&self, phase: &'static str) -> Result<(), Stop> {
        self.report_share(phase, 0).await
    }

    /// Reports the share of the work that is done: the steps on disk, and `more` behind them that are not.
    async fn report_share(&self, phase: &'static str, more: usize) -> Result<(), Stop> {
        let share: f64 = self.plan.steps.iter().take(self.done + more).map(|step| step.share).sum();
        let digits = u64::from(self.series.digits());
        // A share of a u32 fits; the last digit is done only when all is.
        let done = ((share * digits as f64) as u64).min(digits.saturating_sub(1));
        let cursor = Cursor { guard: self.series.guard(), steps: self.done };
        self.context.checkpoint(&cursor, Report { phase, done, total: Some(digits) }).await
    }
}

fn join(series: Series, stack: &mut Vec<Triple>, stop: digits::Stop<'_>) -> Result<Triple, Stopped> {
    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else { return Err(Stopped) };
    series.join(left, right, stop)
}
