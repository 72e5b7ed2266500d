//! Timers: send a POST request at a moment. [`spec`] says what is sent, [`attempt`] sends it once, [`decision`] decides what follows,
//! [`signature`] signs the request.

pub mod api;
mod attempt;
mod count;
mod decision;
mod input;
mod log;
mod metrics;
mod notice;
mod signature;
pub mod spec;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::attempt::DeliveryOutcome;
use self::decision::AttemptDecision;
use self::metrics::{Sent, TimerMetrics};
use self::signature::Signer;
use self::spec::{DeliveryGuarantee, TimerSpec};
use super::KindParts;
use crate::runner::{BadInput, Context, Failure, Kind, Notifier, Report, StopReason, TaskPlan};
use crate::task::{Code, ResultFile, Unit};
use outbound::Outbound;

/// The kind's name in the store.
pub const NAME: &str = "timer";

/// Maximum number of attempts that are kept: the last ones.
const MAX_DELIVERIES: usize = 100;

/// Maximum time that an attempt in progress continues after a pause. After a shutdown it continues for most of the grace.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The kind `timer`.
pub struct Timer {
    outbound: Outbound,
    signer: Signer,
    metrics: TimerMetrics,
    attempts: u32,
    backoff: Duration,
}

/// Attempts of a timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimerCursor {
    /// The last attempts, oldest first.
    pub deliveries: Vec<DeliveryRecord>,
    /// Start of an attempt that must not be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sending: Option<Timestamp>,
}

/// One attempt, as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Time of the request.
    pub at: Timestamp,
    /// Delay between the due time and the request, in microseconds.
    pub late: u64,
    /// Status code of the response, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Error text, if the attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Timer {
    /// Makes the kind from `parts`.
    pub fn new(parts: &KindParts<'_>) -> Timer {
        let KindParts { config, outbound, metrics, .. } = parts;
        let signer = Signer::new(config.webhook_secrets.iter().map(|secret| secret.0.clone()).collect());
        let (attempts, backoff) = (config.timer_attempts, config.timer_backoff);
        Timer { outbound: Outbound::clone(outbound), signer, metrics: TimerMetrics::new(metrics), attempts, backoff }
    }
}

#[async_trait]
impl Kind for Timer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn notifier(&self) -> Option<Arc<dyn Notifier>> {
        Some(self.new_notifier())
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<TaskPlan, BadInput> {
        let spec: TimerSpec = super::read_spec(spec)?;
        let concurrency_key = spec.check(&self.outbound)?.authority();
        Ok(TaskPlan {
            unit: Unit::Deliveries,
            total: Some(1),
            unique_key: None,
            upload: None,
            concurrency_key: Some(concurrency_key),
        })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        let spec: TimerSpec = context.spec()?;
        let mut cursor: TimerCursor = context.cursor()?.unwrap_or_default();
        let due = context.due_since().unwrap_or(spec.at);
        if spec.delivery == DeliveryGuarantee::AtMostOnce {
            if let Some(at) = cursor.sending.take() {
                return Err(self.fail_unknown(context, cursor, at, lateness(due, at))?.into());
            }
            may_send(context).await?;
            cursor.commit_sending(context).await?;
        } else {
            // No request begins after a stop was requested.
            context.check_stop()?;
        }
        self.attempt(context, &spec, cursor, due).await
    }

    async fn rollback(&self, _context: &Context) -> Result<(), Failure> {
        // What was sent cannot be rolled back, and nothing else is stored.
        Ok(())
    }
}

impl Timer {
    /// Makes one attempt and sets the checkpoint after it. Sends nothing unless this node certainly has the task.
    async fn attempt(
        &self,
        context: &Context,
        spec: &TimerSpec,
        mut cursor: TimerCursor,
        due: Timestamp,
    ) -> Result<Option<ResultFile>, StopReason> {
        let (at, outcome) = loop {
            if let Err(stop) = may_send(context).await {
                // Nothing was sent.
                context.set_checkpoint(&cursor, report(0))?;
                return Err(stop);
            }
            let at = context.now();
            let outcome = tokio::select! {
                outcome = self.send(context, spec, at) => outcome,
                stop = context.request_deadline(PATIENCE) => DeliveryOutcome::Stopped(stop),
            };
            if !outcome.is_withheld() {
                break (at, outcome);
            }
        };
        let late = lateness(due, at);
        self.metrics.late(Duration::from_micros(late));
        let attempt = context.failures() + 1;
        let last = attempt >= self.attempts;
        let decision = decision::decide(&outcome, spec.delivery, context.now(), self.backoff(context.failures()));
        let record = DeliveryRecord { at, late, status: outcome.status(), error: outcome.error() };
        log::log_attempt(context, attempt, &record, decision, last);
        self.metrics.sent(count::sent(&outcome, decision, last));
        cursor.add(record);
        if decision == AttemptDecision::Succeeded {
            context.set_checkpoint(&cursor, report(1))?;
            return Ok(None);
        }
        context.set_checkpoint(&cursor, report(0))?;
        Err(self.stop_reason(decision, outcome, attempt))
    }

    /// Returns why the run ends after an attempt without success.
    fn stop_reason(&self, decision: AttemptDecision, outcome: DeliveryOutcome, attempt: u32) -> StopReason {
        match (decision, outcome) {
            (AttemptDecision::Fail(code), outcome) => {
                Failure::permanent(code, format!("The delivery failed: {outcome}.")).into()
            }
            (AttemptDecision::RetryAt(_), outcome) if attempt >= self.attempts => {
                let text = format!("All {attempt} attempts failed. Last error: {outcome}.");
                Failure::permanent(Code::Unavailable, text).into()
            }
            (AttemptDecision::RetryAt(at), outcome) => {
                let text = format!("Attempt {attempt} of {} failed: {outcome}.", self.attempts);
                Failure::unavailable(text).retry_at(at).into()
            }
            (_, DeliveryOutcome::Stopped(stop)) => stop,
            (AttemptDecision::Succeeded | AttemptDecision::Stopped, _) => StopReason::Interrupted,
        }
    }

    /// Records an attempt at `at` whose outcome a crash hid. Returns the failure of the timer.
    fn fail_unknown(
        &self,
        context: &Context,
        mut cursor: TimerCursor,
        at: Timestamp,
        late: u64,
    ) -> Result<Failure, Failure> {
        let error = "A crash interrupted the delivery. It may have been sent, so it is not sent again.";
        let record = DeliveryRecord { at, late, status: None, error: Some(error.to_owned()) };
        let decision = AttemptDecision::Fail(Code::Unavailable);
        log::log_attempt(context, context.failures() + 1, &record, decision, true);
        cursor.add(record);
        context.set_checkpoint(&cursor, report(0))?;
        self.metrics.sent(Sent::Unknown);
        Ok(Failure::permanent(Code::Unavailable, error))
    }

    /// Returns the delay before the next attempt, with full jitter as in "Exponential Backoff And Jitter" (AWS, 2015).
    fn backoff(&self, failures: u32) -> Duration {
        const MAX_BACKOFF: Duration = Duration::from_secs(3600);
        let most = self.backoff.saturating_mul(2_u32.saturating_pow(failures.min(20))).min(MAX_BACKOFF);
        let random = uuid::Uuid::new_v4().as_u64_pair().1 & 0xFFFF_FFFF;
        most.mul_f64(random as f64 / f64::from(u32::MAX))
    }
}

impl TimerCursor {
    /// Commits that the webhook is being sent. If this is not on disk, it was not sent.
    async fn commit_sending(&mut self, context: &Context) -> Result<(), StopReason> {
        self.sending = Some(context.now());
        let committed = context.commit(self, report(0)).await;
        self.sending = None;
        if committed.is_err() {
            context.set_checkpoint(self, report(0))?;
        }
        committed
    }

    fn add(&mut self, record: DeliveryRecord) {
        self.deliveries.push(record);
        let over = self.deliveries.len().saturating_sub(MAX_DELIVERIES);
        self.deliveries.drain(..over);
    }
}

/// Returns once this node certainly has the task, or when the run must stop before that.
async fn may_send(context: &Context) -> Result<(), StopReason> {
    tokio::select! {
        biased;
        allowed = context.may_act() => allowed,
        stop = context.stopped() => Err(stop),
    }
}

/// Returns the delay from `due` to `at`, in microseconds.
fn lateness(due: Timestamp, at: Timestamp) -> u64 {
    u64::try_from(due.duration_until(at).as_micros()).unwrap_or(0)
}

fn report(done: u64) -> Report {
    Report { phase: "delivering", done, total: Some(1) }
}
