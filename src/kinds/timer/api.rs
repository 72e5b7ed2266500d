//! Timers in the API.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object, OneofObject, SimpleObject};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use url::Url;

use super::spec::{self, Spec};
use super::{Cursor, NAME};
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::DateTime;
use crate::gql::services::Services;
use crate::gql::task::task_type;
use crate::kinds::api::TaskKind;
use crate::runner::StartOptions;
use crate::task::{Code, IdempotencyKey, Task};

/// Timers in one call.
const MOST: usize = 1000;

task_type! {
    /// A POST to an address at a moment, kept through every crash.
    TimerTask, TimerFields, TaskKind::Timer
}

/// What a timer has beyond other tasks.
pub struct TimerFields(Arc<Task>);

#[Object]
impl TimerFields {
    /// The address that was given, without a password. What is asked is this with the task's id behind its path.
    async fn url(&self) -> Result<String> {
        Ok(without_password(&self.spec()?.url))
    }

    /// When it fires.
    async fn fires_at(&self) -> Result<DateTime> {
        Ok(self.spec()?.at.into())
    }

    /// Seconds until then; 0 once it is due.
    async fn seconds_left(&self, ctx: &Context<'_>) -> Result<f64> {
        let now = ctx.data_unchecked::<Services>().clock.now();
        Ok(now.duration_until(self.spec()?.at).as_secs_f64().max(0.0))
    }

    /// What becomes of a try whose outcome nobody knows.
    async fn delivery(&self) -> Result<Delivery> {
        Ok(self.spec()?.delivery.into())
    }

    /// The tries, oldest first: the last 100 of them.
    #[graphql(complexity = "100 * child_complexity + 1")]
    async fn deliveries(&self) -> Result<Vec<Delivered>> {
        let cursor = self.0.cursor.as_deref().map(serde_json::from_str::<Cursor>).transpose();
        let cursor = cursor.map_err(error::internal)?.unwrap_or_default();
        Ok(cursor.deliveries.into_iter().map(Delivered::from).collect())
    }
}

impl TimerFields {
    fn spec(&self) -> Result<Spec> {
        serde_json::from_str(&self.0.spec).map_err(error::internal)
    }
}

/// One try of a timer.
#[derive(SimpleObject)]
pub struct Delivered {
    /// When it was sent.
    at: DateTime,
    /// Milliseconds from the moment at which the attempt became due to its sending. An attempt becomes due at firesAt, or at the time
    /// set for a retry. A later start or resume of the timer makes it due then. Waiting for a node that is down or for a host
    /// that is full counts as lateness.
    lateness_ms: f64,
    /// The status of the answer; null where there was none.
    status: Option<i32>,
    /// Why it was no success: the answer with the beginning of its body, or what went wrong.
    error: Option<String>,
}

impl From<super::Delivered> for Delivered {
    fn from(try_: super::Delivered) -> Delivered {
        let lateness_ms = SignedDuration::from_micros(i64::try_from(try_.late).unwrap_or(i64::MAX)).as_secs_f64() * 1e3;
        Delivered { at: try_.at.into(), lateness_ms, status: try_.status.map(i32::from), error: try_.error }
    }
}

/// What becomes of a try whose outcome nobody knows, such as one that a crash or a timeout hid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "spec::Delivery")]
pub enum Delivery {
    /// It is made again: the receiver may get it twice, with the same webhook-id.
    AtLeastOnce,
    /// It is not made again, and the timer has FAILED: the receiver may never get it.
    AtMostOnce,
}

/// When a timer fires.
#[derive(OneofObject)]
pub enum TimerWhen {
    /// At this moment; at once where it has passed.
    At(DateTime),
    /// So long after the server got the call.
    After(DelayInput),
}

/// A time span: all three added up.
#[derive(InputObject)]
pub struct DelayInput {
    /// Hours, days' worth of them where that is wanted.
    #[graphql(default = 0)]
    hours: i32,
    /// Minutes.
    #[graphql(default = 0)]
    minutes: i32,
    /// Seconds, with a fraction where that is wanted.
    #[graphql(default = 0.0)]
    seconds: f64,
}

/// A header of the request.
#[derive(InputObject)]
pub struct HeaderInput {
    /// Its name.
    name: String,
    /// Its value.
    value: String,
}

/// What to send, where and when.
#[derive(InputObject)]
pub struct StartTimerInput {
    /// POST goes to this URL with /ID appended to its path, the query kept; http or https.
    url: String,
    /// When it fires.
    when: TimerWhen,
    /// What becomes of a try whose outcome nobody knows.
    #[graphql(default_with = "Delivery::AtLeastOnce")]
    delivery: Delivery,
    /// The body, of 262,144 bytes at most; empty where it is not given. Where no header names its type, it is
    /// application/json if it is JSON, and text/plain otherwise.
    body: Option<String>,
    /// Headers beside those of HTTP itself and of Standard Webhooks, 50 at most.
    headers: Option<Vec<HeaderInput>>,
    /// Seconds from 0.1 to 600 that a try may take, the connection included.
    #[graphql(default = 15.0)]
    timeout_seconds: f64,
    /// Label chosen by the client, up to 200 characters.
    label: Option<String>,
    /// Makes the call repeatable: a second one with the same key and the same input returns the first one's task. The same
    /// key with a different input, or for a different kind of task, is refused with CONFLICT and the id of that task.
    idempotency_key: Option<String>,
}

impl TimerWhen {
    /// The moment, as seen at `now`.
    fn moment(&self, now: Timestamp) -> Result<Timestamp> {
        match self {
            TimerWhen::At(at) => Ok(at.0),
            TimerWhen::After(delay) => delay.after(now),
        }
    }
}

impl DelayInput {
    fn after(&self, now: Timestamp) -> Result<Timestamp> {
        if self.hours < 0 || self.minutes < 0 || self.seconds.is_nan() || self.seconds < 0.0 {
            return Err(error::bad_input("when.after", "hours, minutes and seconds are 0 or more"));
        }
        let too_far = |_| error::bad_input("when.after", "that is after the year 9999");
        let whole = SignedDuration::from_hours(self.hours.into()) + SignedDuration::from_mins(self.minutes.into());
        let rest = SignedDuration::try_from_secs_f64(self.seconds).map_err(too_far)?;
        now.checked_add(whole).and_then(|at| at.checked_add(rest)).map_err(too_far)
    }
}

impl StartTimerInput {
    /// The spec and the options of the start, as seen at `now`.
    fn start(self, now: Timestamp, idempotency_key: Option<IdempotencyKey>) -> Result<(Value, StartOptions)> {
        let at = self.when.moment(now)?;
        // The store keeps whole microseconds; the next one is not early.
        let at = Timestamp::from_microsecond(at.as_microsecond())
            .map_or(at, |whole| if whole < at { whole + SignedDuration::from_micros(1) } else { whole });
        let headers = self.headers.unwrap_or_default().into_iter().map(|header| (header.name, header.value)).collect();
        let (delivery, timeout) = (self.delivery.into(), self.timeout_seconds);
        let spec = Spec { url: self.url, at, delivery, body: self.body, headers, timeout };
        let options = StartOptions::new(self.label, Some(at), idempotency_key).map_err(error::from_input)?;
        Ok((serde_json::to_value(spec).map_err(error::internal)?, options))
    }
}

/// Starting timers.
#[derive(Default)]
pub struct TimerStart;

#[Object]
impl TimerStart {
    /// Sends a POST at a time or after a delay. It is on disk when this answers, and no crash loses it.
    async fn start_timer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to send, where and when.")] mut input: StartTimerInput,
    ) -> Result<TimerTask> {
        let services = ctx.data_unchecked::<Services>();
        let key = idempotency::key(ctx, input.idempotency_key.take())?;
        let (spec, options) = input.start(services.clock.now(), key)?;
        services.start(NAME, spec, options).await.map(TimerTask::from)
    }

    /// Starts many timers in one commit: all of them, or none if one is refused. The error names the refused one in its field,
    /// such as inputs.17.url. The tasks are returned in the order of the inputs, and are on disk when this answers.
    async fn start_timers(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The timers, at most 1,000. Each may have an idempotency key of its own: a batch that is sent \
                          again returns the same tasks, and starts those that are new."
        )]
        inputs: Vec<StartTimerInput>,
    ) -> Result<Vec<TimerTask>> {
        let services = ctx.data_unchecked::<Services>();
        if inputs.len() > MOST {
            return Err(error::bad_input(
                "inputs",
                format!("inputs has {} timers, at most {MOST} are allowed", inputs.len()),
            ));
        }
        let (keys, now) = (keys(ctx, &inputs)?, services.clock.now());
        let mut starts = Vec::with_capacity(inputs.len());
        for (place, (input, key)) in inputs.into_iter().zip(keys).enumerate() {
            starts.push(input.start(now, key).map_err(|refused| error::of_input(place, refused))?);
        }
        let tasks = services.start_all(NAME, starts).await?;
        Ok(tasks.into_iter().map(TimerTask::from).collect())
    }
}

/// The idempotency keys of the inputs, each with its own input: a key means the same in a batch as in a start of one.
fn keys(ctx: &Context<'_>, inputs: &[StartTimerInput]) -> Result<Vec<Option<IdempotencyKey>>> {
    if inputs.iter().all(|input| input.idempotency_key.is_none()) {
        return Ok(vec![None; inputs.len()]);
    }
    let given = match idempotency::input(ctx)?["inputs"].take() {
        Value::Array(given) => given,
        // GraphQL takes one input for a list of one.
        one => vec![one],
    };
    let mut known = HashMap::new();
    let mut keys = Vec::with_capacity(inputs.len());
    for (place, (input, given)) in inputs.iter().zip(given).enumerate() {
        let key = input.idempotency_key.clone().map(|text| idempotency::key_for(text, &json!({ "input": given })));
        if let Some(key) = &key
            && *known.entry(key.text.clone()).or_insert_with(|| key.clone()) != *key
        {
            let text = format!("the idempotency key {:?} is used twice in this call, with different inputs", key.text);
            return Err(error::of_input(place, error::of_field("idempotencyKey", error::coded(Code::Conflict, text))));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// The URL for people.
fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return String::new() };
    // A URL of http or https has a host, so neither can fail.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
