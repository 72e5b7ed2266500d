//! Computation of pi. The crate `pi_digits` computes; [`job`] runs the steps of its plan, [`parts`] saves the numbers between
//! two steps, and [`text`] writes the digits into a zip.

pub mod api;
mod job;
mod parts;
mod text;

use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use self::job::Job;
use self::text::Zip;
use super::KindParts;
use crate::runner::{BadInput, Context, Failure, Kind, StopReason, TaskPlan};
use crate::task::{ResultFile, TaskId, Unit};

/// The kind's name in the store.
pub const NAME: &str = "pi";

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

impl Pi {
    /// The kind, over `parts`.
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
        let spec: Spec = super::read_spec(spec)?;
        if !(1..=self.limit).contains(&spec.digits) {
            let message = format!("{} is not a number of digits from 1 to {}", spec.digits, self.limit);
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
        let (spec, mut guard) = (context.spec::<Spec>()?, None);
        let path = context.work().await?.join(format!("digits-{}.zip", context.epoch()));
        loop {
            let zip = Zip { path: path.clone(), name: format!("{}.txt", name(context.id())) };
            guard = Job::resume(context, spec.digits, guard).await?.run(zip).await?;
            if guard.is_none() {
                return seal(context, path).await.map(Some);
            }
        }
    }

    async fn publish(&self, context: &Context, result: Option<&ResultFile>) -> Result<(), Failure> {
        super::publish_file(context, result).await
    }

    async fn rollback(&self, context: &Context) -> Result<(), Failure> {
        super::delete_files(context).await
    }
}

async fn seal(context: &Context, path: PathBuf) -> Result<ResultFile, StopReason> {
    let sealed = super::seal(context, path, None).await;
    let sealed = sealed.map_err(|error| Failure::io("the zip file", &error))?;
    Ok(ResultFile {
        name: format!("{}.zip", name(context.id())),
        size: sealed.size,
        content_type: "application/zip".to_owned(),
        sha256: sealed.sha256,
    })
}

/// The name of the zip and of the text in it, without their endings.
fn name(id: TaskId) -> String {
    format!("digits_of_pi_{id}")
}
