//! Computations of pi in the API.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object};

use super::{NAME, Spec};
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::DateTime;
use crate::gql::services::Services;
use crate::gql::task::task_type;
use crate::kinds::api::TaskKind;
use crate::runner::StartOptions;
use crate::task::Task;

task_type! {
    /// A computation of pi. Its result is digits_of_pi_ID.zip, holding digits_of_pi_ID.txt: `3.` and the digits, truncated
    /// and not rounded, in UTF-8 without a line end.
    PiTask, PiFields, TaskKind::Pi
}

/// What a computation of pi has beyond other tasks.
pub struct PiFields(Arc<Task>);

#[Object]
impl PiFields {
    /// Digits after the decimal point.
    async fn digits(&self) -> Result<i32> {
        let spec: Spec = serde_json::from_str(&self.0.spec).map_err(error::internal)?;
        Ok(i32::try_from(spec.digits).unwrap_or(i32::MAX))
    }
}

/// What to compute.
#[derive(InputObject)]
pub struct StartPiJobInput {
    /// Digits after the decimal point, from 1 to `server.limits.maxPiDigits`.
    digits: i32,
    /// Label chosen by the client, up to 200 characters.
    label: Option<String>,
    /// When it may first run.
    start_at: Option<DateTime>,
    /// Makes the call repeatable, up to 200 characters: a second one with the same key and the same input returns the first one's task. The same
    /// key with a different input, or for a different kind of task, is refused with CONFLICT and the id of that task.
    idempotency_key: Option<String>,
}

/// Starting computations of pi.
#[derive(Default)]
pub struct PiStart;

#[Object]
impl PiStart {
    /// Starts to compute digits of pi, and answers at once.
    async fn start_pi_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many digits.")] input: StartPiJobInput,
    ) -> Result<PiTask> {
        let services = ctx.data_unchecked::<Services>();
        let (key, start_at) = (idempotency::key(ctx, input.idempotency_key)?, input.start_at.map(|at| at.0));
        let options = StartOptions::new(input.label, start_at, key).map_err(error::from_input)?;
        let limit = services.limits.max_pi_digits;
        let out_of_range =
            || error::bad_input("digits", format!("digits is {}, and must be from 1 to {limit}", input.digits));
        let digits = u32::try_from(input.digits).ok().filter(|digits| (1..=limit).contains(digits));
        let spec = Spec { digits: digits.ok_or_else(out_of_range)? };
        let spec = serde_json::to_value(spec).map_err(error::internal)?;
        services.start(NAME, spec, options).await.map(PiTask::from)
    }
}
