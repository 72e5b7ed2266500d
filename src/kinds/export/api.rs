//! Exports in the API.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object};

use super::{NAME, Spec};
use crate::datasets::{self, DatasetName};
use crate::graphql::error::{self, Result};
use crate::graphql::scalars::{Count, DateTime};
use crate::graphql::services::Services;
use crate::graphql::task::task_type;
use crate::runner::StartOptions;
use crate::task::Task;

task_type! {
    /// An export of a dataset, as it stood when the export started, into a CSV file.
    ExportTask, ExportFields
}

/// What an export has beyond other tasks.
pub struct ExportFields(Arc<Task>);

#[Object]
impl ExportFields {
    /// The dataset that it reads.
    async fn dataset(&self) -> Result<String> {
        let spec: Spec = serde_json::from_str(&self.0.spec).map_err(error::internal)?;
        Ok(spec.dataset.to_string())
    }

    /// Rows that are in the file.
    async fn rows_exported(&self) -> Count {
        Count(self.0.progress.done)
    }
}

/// What to export.
#[derive(InputObject)]
pub struct StartExportInput {
    /// The dataset.
    dataset: String,
    /// Your own name for the task.
    label: Option<String>,
    /// When it may first run.
    start_at: Option<DateTime>,
    /// A second start with the same key gives the first one's task.
    idempotency_key: Option<String>,
}

/// Starting exports.
#[derive(Default)]
pub struct ExportStart;

#[Object]
impl ExportStart {
    /// Starts an export and answers at once. The file is RFC 4180 CSV, its rows in the order in which they were imported.
    async fn start_export(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to export.")] input: StartExportInput,
    ) -> Result<ExportTask> {
        let services = ctx.data_unchecked::<Services>();
        let dataset: DatasetName = input
            .dataset
            .parse()
            .map_err(|error: datasets::InvalidName| error::bad_input("dataset", error.to_string()))?;
        let options = StartOptions {
            label: input.label,
            start_at: input.start_at.map(|at| at.0),
            idempotency_key: input.idempotency_key,
        };
        let known = services.repeated(&options).await?;
        if known.is_none() && services.datasets.get(&dataset).await.map_err(error::from_datasets)?.is_none() {
            return Err(error::from_datasets(datasets::Error::Missing(dataset)));
        }
        let spec = serde_json::to_value(Spec { dataset }).map_err(error::internal)?;
        services.start(NAME, spec, options).await.map(ExportTask::from)
    }
}
