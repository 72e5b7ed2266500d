//! Timers: a POST to an address at a moment. [`spec`] says what is sent, [`attempt`] makes one try, [`verdict`] decides what
//! its outcome means, [`signature`] lets the receiver know who sent it.

pub mod api;
mod attempt;
mod counted;
mod log;
mod signature;
pub mod spec;
mod verdict;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::attempt::Outcome;
use self::signature::Signer;
use self::spec::{Delivery, Spec};
use self::verdict::Verdict;
use super::KindParts;
use crate::metrics::{Sent, Timers};
use crate::runner::{BadInput, Context, Failure, Kind, Plan, Report, Stop};
use crate::task::{Code, ResultFile, Unit};
use outbound::Outbound;

/// The kind's name in the store.
pub const NAME: &str = "timer";

/// Tries that are kept; of more, the last ones.
const KEPT: usize = 100;

/// How long an attempt that is under way may continue after a pause was requested. A shutdown leaves it nearly all of its grace.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The kind `timer`.
pub struct Timer {
    outbound: Outbound,
    signer: Signer,
    metrics: Timers,
    attempts: u32,
    backoff: Duration,
}

/// The tries of a timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Oldest first.
    pub deliveries: Vec<Delivered>,
    /// When a try began that must not be made twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sending: Option<Timestamp>,
}

/// One try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// When it was sent.
    pub at: Timestamp,
    /// Microseconds from the moment at which it became due to its sending.
    pub late: u64,
    /// The status of the answer, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it was no success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Timer {
    /// The kind, over `parts`.
    pub fn new(parts: &KindParts<'_>) -> Timer {
        let KindParts { config, outbound, timers, .. } = parts;
        let signer = Signer::new(config.webhook_secrets.iter().map(|secret| secret.0.clone()).collect());
        let (attempts, backoff) = (config.timer_attempts, config.timer_backoff);
        Timer { outbound: Outbound::clone(outbound), signer, metrics: Timers::clone(timers), attempts, backoff }
    }
}

#[async_trait]
impl Kind for Timer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<Plan, BadInput> {
        let spec: Spec = super::read_spec(spec)?;
        let concurrency_key = spec.check(&self.outbound)?.authority();
        Ok(Plan {
            unit: Unit::Deliveries,
            total: Some(1),
            unique_key: None,
            upload: None,
            concurrency_key: Some(concurrency_key),
        })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, Stop> {
        let spec: Spec = context.spec()?;
        let mut cursor: Cursor = context.cursor()?.unwrap_or_default();
        let due = context.due_since().unwrap_or(spec.at);
        let late = |at: Timestamp| u64::try_from(due.duration_until(at).as_micros()).unwrap_or(0);
        if spec.delivery == Delivery::AtMostOnce {
            if let Some(at) = cursor.sending.take() {
                let error = "a crash hid whether it was sent, so it is not sent again";
                let unknown = Delivered { at, late: late(at), status: None, error: Some(error.to_owned()) };
                log::delivery(context, context.failures() + 1, &unknown, Verdict::Final(Code::Unavailable), true);
                cursor.add(unknown);
                context.note(&cursor, report(0))?;
                self.metrics.sent(Sent::Unknown);
                return Err(Failure::permanent(Code::Unavailable, error).into());
            }
            cursor.announce(context).await?;
        } else {
            // No request begins once a stop was requested.
            context.check_stop()?;
        }
        let at = context.now();
        let late = late(at);
        self.metrics.late(Duration::from_micros(late));
        let outcome = tokio::select! {
            outcome = self.send(context.id(), &spec, at) => outcome,
            stop = context.cut_off(PATIENCE) => Outcome::Cut(stop),
        };
        let tries = context.failures() + 1;
        let verdict = verdict::of(&outcome, spec.delivery, context.now(), self.wait(context.failures()));
        let delivered = Delivered { at, late, status: outcome.status(), error: outcome.error() };
        log::delivery(context, tries, &delivered, verdict, tries >= self.attempts);
        self.metrics.sent(counted::sent(&outcome, verdict, tries >= self.attempts));
        cursor.add(delivered);
        let stop = match verdict {
            Verdict::Delivered => {
                context.note(&cursor, report(1))?;
                return Ok(None);
            }
            Verdict::Stop => match outcome {
                Outcome::Cut(stop) => stop,
                _ => Stop::Interrupted,
            },
            Verdict::Final(code) => Failure::permanent(code, outcome.to_string()).into(),
            Verdict::Again(_) if tries >= self.attempts => Failure::permanent(
                Code::Unavailable,
                format!("{tries} tries, none with success; the last one: {outcome}"),
            )
            .into(),
            Verdict::Again(again) => {
                let text = format!("try {tries} of {}: {outcome}", self.attempts);
                Failure::unavailable(text).again(again).into()
            }
        };
        context.note(&cursor, report(0))?;
        Err(stop)
    }

    async fn rollback(&self, _context: &Context) -> Result<(), Failure> {
        // What was sent cannot be taken back, and nothing else is kept.
        Ok(())
    }
}

impl Timer {
    /// The wait before the try after so many failures: full jitter, as in "Exponential Backoff And Jitter" (AWS, 2015).
    fn wait(&self, failures: u32) -> Duration {
        const LONGEST: Duration = Duration::from_secs(3600);
        let most = self.backoff.saturating_mul(2_u32.saturating_pow(failures.min(20))).min(LONGEST);
        let random = uuid::Uuid::new_v4().as_u64_pair().1 & 0xFFFF_FFFF;
        most.mul_f64(random as f64 / f64::from(u32::MAX))
    }
}

impl Cursor {
    /// Writes down that the webhook is being sent: where that is not on disk, it was not.
    async fn announce(&mut self, context: &Context) -> Result<(), Stop> {
        self.sending = Some(context.now());
        let announced = context.commit(self, report(0)).await;
        self.sending = None;
        if announced.is_err() {
            context.note(self, report(0))?;
        }
        announced
    }

    fn add(&mut self, delivered: Delivered) {
        self.deliveries.push(delivered);
        let over = self.deliveries.len().saturating_sub(KEPT);
        self.deliveries.drain(..over);
    }
}

fn report(done: u64) -> Report {
    Report { phase: "delivering", done, total: Some(1) }
}
