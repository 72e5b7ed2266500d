//! The API of timers: their fields and their start.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object, OneofObject, SimpleObject};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use url::Url;

use super::spec::{self, TimerSpec};
use super::{NAME, TimerCursor, input};
use crate::access::Caller;
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::{DateTime, Json};
use crate::gql::secrets;
use crate::gql::start_fields::{self, StartFields};
use crate::gql::task::{KindView, task_type};
use crate::kinds::api::TaskKind;
use crate::runner::StartOptions;
use crate::state::AppState;
use crate::task::{Code, IdempotencyKey, State, Task};

/// Maximum number of timers in one call.
const MAX_TIMERS: usize = 1000;

task_type! {
    /// Timer that sends a webhook, an HTTP POST, at a given time. It survives crashes and restarts.
    TimerTask, TimerFields, TaskKind::Timer, VIEW
}

/// The fields that only timers have.
pub struct TimerFields(Arc<Task>);

#[Object]
impl TimerFields {
    /// Target URL as given, without its user name and password. Requests go to this URL with /ID appended to its path.
    async fn url(&self) -> Result<String> {
        Ok(without_password(&self.spec()?.url))
    }

    /// Time at which the timer fires.
    async fn fires_at(&self) -> Result<DateTime> {
        Ok(fires_at(&self.0, &self.spec()?).into())
    }

    /// Time until firesAt, in seconds. 0 from then on.
    async fn seconds_left(&self, ctx: &Context<'_>) -> Result<f64> {
        let now = ctx.data_unchecked::<AppState>().clock.now();
        Ok(now.duration_until(fires_at(&self.0, &self.spec()?)).as_secs_f64().max(0.0))
    }

    /// Time of the next attempt, while the timer waits between attempts. Retry-After of a response counts. Null before the first
    /// attempt, during one, and when no other follows.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        let waits = self.0.state == State::Scheduled && self.0.started_at.is_some();
        self.0.due_at.filter(|_| waits).map(DateTime)
    }

    /// Delivery guarantee when the outcome of an attempt is unknown.
    async fn delivery(&self) -> Result<Delivery> {
        Ok(self.spec()?.delivery.into())
    }

    /// The last 100 attempts, oldest first.
    #[graphql(complexity = "100 * child_complexity + 1")]
    async fn deliveries(&self) -> Result<Vec<Delivered>> {
        let cursor = self.0.cursor.as_deref().map(serde_json::from_str::<TimerCursor>).transpose();
        let cursor = cursor.map_err(error::internal)?.unwrap_or_default();
        Ok(cursor.deliveries.into_iter().map(Delivered::from).collect())
    }
}

impl TimerFields {
    fn spec(&self) -> Result<TimerSpec> {
        stored_spec(&self.0)
    }
}

fn stored_spec(task: &Task) -> Result<TimerSpec> {
    serde_json::from_str(&task.spec).map_err(error::internal)
}

const VIEW: KindView = KindView { spec: spec_input, rate: |_| Ok(None) };

fn spec_input(task: &Task) -> Result<Json> {
    let spec = stored_spec(task)?;
    let at = fires_at(task, &spec);
    start_fields::spec_of(task, input::fields(spec, at))
}

/// Returns when the timer fires: the time that it has been given since, else the one of its spec.
fn fires_at(task: &Task, spec: &TimerSpec) -> Timestamp {
    task.start_at.unwrap_or(spec.at)
}

/// One attempt of a timer.
#[derive(SimpleObject)]
pub struct Delivered {
    /// Time at which the request was sent.
    at: DateTime,
    /// Delay between the attempt's due time and the request, in milliseconds. An attempt is due at firesAt, at the time set for a
    /// retry, or when the timer is started or resumed later than that. Waiting for a node that is down or a busy host counts.
    lateness_ms: f64,
    /// HTTP status of the response. Null if there was no response.
    status: Option<i32>,
    /// Error of the attempt: the response with the start of its body, or the failure. Null if the attempt succeeded.
    error: Option<String>,
}

impl From<super::DeliveryRecord> for Delivered {
    fn from(try_: super::DeliveryRecord) -> Delivered {
        let lateness_ms = SignedDuration::from_micros(i64::try_from(try_.late).unwrap_or(i64::MAX)).as_secs_f64() * 1e3;
        Delivered { at: try_.at.into(), lateness_ms, status: try_.status.map(i32::from), error: try_.error }
    }
}

/// Delivery guarantee when the outcome of an attempt is unknown, for example after a crash or a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "spec::DeliveryGuarantee")]
pub enum Delivery {
    /// Repeats the attempt. The receiver may get the request twice, with the same webhook-id.
    AtLeastOnce,
    /// Does not repeat the attempt; the timer becomes FAILED. The receiver may never get the request.
    AtMostOnce,
}

/// Time at which a timer fires: exactly one field.
#[derive(OneofObject)]
pub enum TimerWhen {
    /// At this time. A time in the past fires immediately.
    At(DateTime),
    /// After this delay, counted from the time at which the server received the call.
    After(DelayInput),
}

/// Delay: the sum of its fields, each 0 or more.
#[derive(InputObject)]
pub struct DelayInput {
    /// Hours. May exceed 24.
    #[graphql(default = 0)]
    hours: i32,
    /// Minutes. May exceed 60.
    #[graphql(default = 0)]
    minutes: i32,
    /// Seconds. May have a fraction.
    #[graphql(default = 0.0)]
    seconds: f64,
}

/// HTTP header of a request.
#[derive(InputObject)]
pub struct HeaderInput {
    /// Name of the header.
    name: String,
    /// Value of the header.
    value: String,
}

/// Input of startTimer: the request and the time.
#[derive(InputObject)]
pub struct StartTimerInput {
    /// Target URL, http or https. The POST goes to this URL with /ID appended to its path; the query is kept.
    url: String,
    /// Time at which the timer fires.
    when: TimerWhen,
    /// Delivery guarantee when the outcome of an attempt is unknown.
    #[graphql(default_with = "Delivery::AtLeastOnce")]
    delivery: Delivery,
    /// Body of the request, at most 262,144 bytes. Default: empty. Without a Content-Type header, the type is application/json
    /// if the body is JSON, else text/plain.
    body: Option<String>,
    /// Additional headers, at most 50. Headers of HTTP itself and of Standard Webhooks are refused. Default: none.
    headers: Option<Vec<HeaderInput>>,
    /// Time limit of an attempt in seconds, from 0.1 to 600. It includes connecting.
    #[graphql(default = 15.0)]
    timeout_seconds: f64,
    /// The fields that every start has.
    #[graphql(flatten)]
    common: StartFields,
}

impl TimerWhen {
    /// Returns the time at which the timer fires, counted from `now`.
    fn fires_at(&self, now: Timestamp) -> Result<Timestamp> {
        match self {
            TimerWhen::At(at) => Ok(at.0),
            TimerWhen::After(delay) => delay.after(now),
        }
    }
}

impl DelayInput {
    fn after(&self, now: Timestamp) -> Result<Timestamp> {
        if self.hours < 0 || self.minutes < 0 || self.seconds.is_nan() || self.seconds < 0.0 {
            let text = format!(
                "hours, minutes and seconds must be 0 or more, got {}, {} and {}.",
                self.hours, self.minutes, self.seconds
            );
            return Err(error::bad_input("when.after", text));
        }
        let too_far = |_| {
            let Self { hours, minutes, seconds } = self;
            let text = format!(
                "The delay of {hours} h {minutes} min {seconds} s ends after the year 9999: use a shorter one."
            );
            error::bad_input("when.after", text)
        };
        let whole = SignedDuration::from_hours(self.hours.into()) + SignedDuration::from_mins(self.minutes.into());
        let rest = SignedDuration::try_from_secs_f64(self.seconds).map_err(too_far)?;
        now.checked_add(whole).and_then(|at| at.checked_add(rest)).map_err(too_far)
    }
}

impl StartTimerInput {
    /// Returns the spec and the options of the start, counted from `now`.
    fn into_start(self, now: Timestamp, idempotency_key: Option<IdempotencyKey>) -> Result<(Value, StartOptions)> {
        secrets::refuse_masked_url("url", &self.url)?;
        for header in self.headers.iter().flatten() {
            secrets::refuse_masked_header("headers", &header.value)?;
        }
        let at = self.when.fires_at(now)?;
        // The store keeps whole microseconds; the next one is not early.
        let at = Timestamp::from_microsecond(at.as_microsecond())
            .map_or(at, |whole| if whole < at { whole + SignedDuration::from_micros(1) } else { whole });
        let headers = self.headers.unwrap_or_default().into_iter().map(|header| (header.name, header.value)).collect();
        let (delivery, timeout) = (self.delivery.into(), self.timeout_seconds);
        let spec = TimerSpec { url: self.url, at, delivery, body: self.body, headers, timeout, exact_url: false };
        let options = self.common.options(Some(at), idempotency_key)?;
        Ok((serde_json::to_value(spec).map_err(error::internal)?, options))
    }
}

/// The mutations that start timers.
#[derive(Default)]
pub struct TimerStart;

#[Object]
impl TimerStart {
    /// Starts a timer that sends an HTTP POST at a given time. Returns when the timer is on disk: no crash loses it.
    async fn start_timer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Request, time and options.")] input: StartTimerInput,
    ) -> Result<TimerTask> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let key = idempotency::key(ctx, input.common.idempotency_key.clone())?;
        let (spec, options) = input.into_start(app.clock.now(), key)?;
        app.start(caller, NAME, spec, options).await.map(TimerTask::from)
    }

    /// Starts many timers in one commit. If one is refused, none is started, and the error names its field, such as
    /// inputs.17.url. Returns the tasks in the order of the inputs, when they are on disk.
    async fn start_timers(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The timers, at most 1,000. Each may have its own idempotency key: a repeated call returns the \
                          existing tasks and starts only the new ones."
        )]
        inputs: Vec<StartTimerInput>,
    ) -> Result<Vec<TimerTask>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        if inputs.len() > MAX_TIMERS {
            return Err(error::bad_input(
                "inputs",
                format!("inputs has {} timers. At most {MAX_TIMERS} are allowed.", inputs.len()),
            ));
        }
        let (keys, now) = (idempotency_keys(ctx, &inputs)?, app.clock.now());
        let mut starts = Vec::with_capacity(inputs.len());
        for (index, (input, key)) in inputs.into_iter().zip(keys).enumerate() {
            starts.push(input.into_start(now, key).map_err(|refused| error::at_input(index, refused))?);
        }
        let tasks = app.start_all(caller, NAME, starts).await?;
        Ok(tasks.into_iter().map(TimerTask::from).collect())
    }
}

/// Returns the idempotency key of each input. A key belongs to its own input, so it means the same in startTimer.
fn idempotency_keys(ctx: &Context<'_>, inputs: &[StartTimerInput]) -> Result<Vec<Option<IdempotencyKey>>> {
    if inputs.iter().all(|input| input.common.idempotency_key.is_none()) {
        return Ok(vec![None; inputs.len()]);
    }
    let given = match idempotency::input(ctx)?["inputs"].take() {
        Value::Array(given) => given,
        // GraphQL accepts a single value for a list of one.
        one => vec![one],
    };
    let mut known = HashMap::new();
    let mut keys = Vec::with_capacity(inputs.len());
    for (index, (input, given)) in inputs.iter().zip(given).enumerate() {
        let key =
            input.common.idempotency_key.clone().map(|text| idempotency::key_for(text, &json!({ "input": given })));
        if let Some(key) = &key
            && *known.entry(key.text.clone()).or_insert_with(|| key.clone()) != *key
        {
            let text = format!("Idempotency key {:?} is used twice in this call, with different inputs.", key.text);
            return Err(error::at_input(
                index,
                error::with_field("idempotencyKey", error::coded(Code::Conflict, text)),
            ));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Returns the URL without its user name and password.
fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return String::new() };
    // A URL of http or https has a host, so neither can fail.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
