//! The API of computations of pi: their fields and their start.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use serde_json::json;

use super::{NAME, PiSpec};
use crate::access::Caller;
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::{DateTime, Json};
use crate::gql::start_fields::{self, StartFields};
use crate::gql::task::{KindView, task_type};
use crate::kinds::api::TaskKind;
use crate::state::AppState;
use crate::task::Task;

task_type! {
    /// Computation of digits of pi. Its result is digits_of_pi_ID.zip with the entry digits_of_pi_ID.txt. The text is `3.` and
    /// the digits, truncated and not rounded, in UTF-8 without a line end.
    PiTask, PiFields, TaskKind::Pi, VIEW
}

/// The fields that only computations of pi have.
pub struct PiFields(Arc<Task>);

#[Object]
impl PiFields {
    /// Number of digits after the decimal point.
    async fn digits(&self) -> Result<i32> {
        Ok(i32::try_from(stored_spec(&self.0)?.digits).unwrap_or(i32::MAX))
    }
}

fn stored_spec(task: &Task) -> Result<PiSpec> {
    serde_json::from_str(&task.spec).map_err(error::internal)
}

const VIEW: KindView = KindView { spec: spec_input, rate: |_| Ok(None) };

fn spec_input(task: &Task) -> Result<Json> {
    let PiSpec { digits } = stored_spec(task)?;
    start_fields::spec_of(task, json!({ "digits": digits, "startAt": start_fields::start_at_of(task) }))
}

/// Input of startPiJob.
#[derive(InputObject)]
pub struct StartPiJobInput {
    /// Number of digits after the decimal point, from 1 to `server.limits.maxPiDigits`.
    digits: i32,
    /// Earliest time of the first run. Default: as soon as possible.
    start_at: Option<DateTime>,
    /// The fields that every start has.
    #[graphql(flatten)]
    common: StartFields,
}

/// The mutation that starts computations of pi.
#[derive(Default)]
pub struct PiStart;

/// Limits of computations of pi.
#[derive(SimpleObject)]
pub struct PiLimits {
    /// Maximum digits of one startPiJob.
    max_pi_digits: i32,
}

impl PiLimits {
    /// Returns the limits of this node.
    pub fn new(app: &AppState) -> PiLimits {
        PiLimits { max_pi_digits: i32::try_from(app.config.max_pi_digits).unwrap_or(i32::MAX) }
    }
}

#[Object]
impl PiStart {
    /// Starts a computation of digits of pi. Returns before it runs.
    async fn start_pi_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of digits and options.")] input: StartPiJobInput,
    ) -> Result<PiTask> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let key = idempotency::key(ctx, input.common.idempotency_key.clone())?;
        let options = input.common.options(input.start_at.map(|at| at.0), key)?;
        let limit = app.config.max_pi_digits;
        let out_of_range =
            || error::bad_input("digits", format!("digits must be between 1 and {limit}, got {}.", input.digits));
        let digits = u32::try_from(input.digits).ok().filter(|digits| (1..=limit).contains(digits));
        let spec = PiSpec { digits: digits.ok_or_else(out_of_range)? };
        let spec = serde_json::to_value(spec).map_err(error::internal)?;
        app.start(caller, NAME, spec, options).await.map(PiTask::from)
    }
}
