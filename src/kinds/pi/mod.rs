//! Computation of pi. The crate `pi_digits` computes; [`job`] runs the steps of its plan, [`parts`] saves the numbers between
//! two steps, and [`text`] writes the digits into a zip. [`repetition`] says when it saves.

pub mod api;
mod job;
mod parts;
mod repetition;
mod text;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::job::{PiCursor, PiJob};
use self::text::PiZip;
use super::KindParts;
use crate::files::Fingerprint;
use crate::runner::{BadInput, Context, Failure, Kind, StopReason, TaskPlan};
use crate::task::{ResultFile, TaskId, Unit};

/// The kind's name in the store.
pub const NAME: &str = "pi";

/// The kind `pi`.
pub struct Pi {
    /// Maximum number of digits.
    pub limit: u32,
}

/// Spec of a computation of pi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiSpec {
    /// Number of digits after the decimal point.
    pub digits: u32,
}

impl Pi {
    /// Makes the kind from `parts`.
    pub fn new(parts: &KindParts<'_>) -> Pi {
        Pi { limit: parts.config.max_pi_digits }
    }
}

#[async_trait]
impl Kind for Pi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<TaskPlan, BadInput> {
        let spec: PiSpec = super::read_spec(spec)?;
        if !(1..=self.limit).contains(&spec.digits) {
            let message = format!("digits must be between 1 and {}, got {}.", self.limit, spec.digits);
            return Err(BadInput::new("digits", message));
        }
        Ok(TaskPlan {
            unit: Unit::Digits,
            total: Some(u64::from(spec.digits)),
            unique_key: None,
            upload: None,
            concurrency_key: None,
        })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        let (spec, mut guard) = (context.spec::<PiSpec>()?, None);
        if let Some(finished) = context.cursor::<PiCursor>()?.and_then(|cursor| cursor.finished)
            && super::is_staged(context, &finished).await?
        {
            return Ok(Some(result_file(context, finished)));
        }
        let file = format!("digits-{}.zip", context.epoch());
        loop {
            let zip = PiZip {
                scratch: context.scratch(),
                file: file.clone(),
                name: format!("{}.txt", base_name(context.id())),
            };
            let mut job = PiJob::resume(context, spec.digits, guard).await?;
            guard = match job.run(zip).await {
                Err(StopReason::Interrupted) => {
                    job.share_at_stop().await;
                    return Err(StopReason::Interrupted);
                }
                outcome => outcome?,
            };
            if guard.is_none() {
                let finished = stage(context, &file).await?;
                job.finish(finished.clone())?;
                return Ok(Some(result_file(context, finished)));
            }
        }
    }

    async fn place_result(&self, context: &Context, result: Option<&ResultFile>) -> Result<(), Failure> {
        super::place_file(context, result).await
    }

    async fn rollback(&self, context: &Context) -> Result<(), Failure> {
        super::delete_files(context).await
    }
}

async fn stage(context: &Context, file: &str) -> Result<Fingerprint, Failure> {
    let staged = super::stage_result(context, file, None).await;
    staged.map_err(|error| Failure::io("the zip file", &error))
}

/// Returns the finished zip file as clients see it.
fn result_file(context: &Context, finished: Fingerprint) -> ResultFile {
    let name = format!("{}.zip", base_name(context.id()));
    ResultFile { name, size: finished.size, content_type: "application/zip".to_owned(), sha256: finished.sha256 }
}

/// Returns the name of the zip and of the text in it, without extension.
fn base_name(id: TaskId) -> String {
    format!("digits_of_pi_{id}")
}
