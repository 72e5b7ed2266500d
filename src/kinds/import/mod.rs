//! Imports: load a CSV file into a dataset, exactly, through any interruption.
//!
//! [`source`] opens the file, [`inspect`] checks its first bytes, [`records`] reads, [`writer`] writes. The rows and the cursor are
//! one transaction in the database of the datasets, so a run resumes at the byte where the last commit ended. No row is
//! visible before [`Kind::publish`].

pub mod api;
mod columns;
mod header;
mod infer;
mod input;
mod inspect;
mod load;
mod position;
mod records;
mod rejects;
mod row_schema;
mod sentinel;
pub mod source;
pub mod spec;
#[cfg(test)]
mod tests;
mod writer;

#[cfg(fuzzing)]
pub use records::splitting;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::KindParts;
use crate::datasets::Datasets;
use crate::runner::{BadInput, Context, Failure, Kind, Report, StopReason, TaskPlan, Termination};
use crate::task::{ResultFile, State, Task, Unit};
use outbound::Outbound;
use spec::{FileSource, ImportCursor, ImportSpec};

/// The kind's name in the store.
pub const NAME: &str = "import";

/// The kind `import`.
pub struct Import {
    /// Database of the rows.
    pub datasets: Arc<dyn Datasets>,
    /// The folder below which source.path may name files.
    pub folder: Option<PathBuf>,
    /// Client that downloads source.url.
    pub outbound: Outbound,
    /// The most bytes of a file, as it comes and as its text.
    pub limit: u64,
}

impl Import {
    /// Makes the kind from `parts`.
    pub fn new(parts: &KindParts<'_>) -> Import {
        Import {
            datasets: Arc::clone(parts.datasets),
            folder: parts.config.import_dir.clone(),
            outbound: parts.outbound.clone(),
            limit: parts.config.max_upload_bytes,
        }
    }
}

#[async_trait]
impl Kind for Import {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<TaskPlan, BadInput> {
        let spec: ImportSpec = super::read_spec(spec)?;
        let upload = match &spec.source {
            FileSource::Upload(id) => Some(id.clone()),
            FileSource::Path(_) => None,
            FileSource::Url(url) => {
                self.outbound.check_url(url).map_err(|refused| BadInput::new("source.url", refused.to_string()))?;
                None
            }
        };
        Ok(TaskPlan {
            unit: Unit::Rows,
            total: None,
            unique_key: Some(super::dataset_key(&spec.dataset)),
            upload,
            concurrency_key: None,
        })
    }

    fn dataset(&self, spec: &serde_json::Value) -> Option<String> {
        Some(super::read_spec::<ImportSpec>(spec).ok()?.dataset.to_string())
    }

    fn file_name(&self, spec: &serde_json::Value) -> Option<String> {
        super::read_spec::<ImportSpec>(spec).ok()?.source.file_name()
    }

    fn has_rate_limit(&self) -> bool {
        true
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        load::run(self, context).await
    }

    async fn place_result(&self, context: &Context, rejects: Option<&ResultFile>) -> Result<(), Failure> {
        match rejects {
            Some(_) => super::place_file(context, rejects).await,
            // An earlier run may have FAILED and kept its rejects.
            None => super::delete_files(context).await,
        }
    }

    async fn publish(&self, context: &Context, _: Option<&ResultFile>) -> Result<(), Failure> {
        super::require_lease(context).await?;
        self.datasets.publish(context.id(), context.epoch(), context.now()).await?;
        Ok(())
    }

    async fn fail(&self, context: &Context) -> Result<(), Failure> {
        let (spec, cursor) = (context.spec::<ImportSpec>()?, context.latest_cursor::<ImportCursor>()?);
        let Some(kept) = cursor.and_then(ImportCursor::kept_rejects) else { return self.rollback(context).await };
        super::place_file(context, Some(&rejects::file(&spec.dataset, kept))).await?;
        self.datasets.discard(context.id(), context.epoch()).await?;
        Ok(())
    }

    async fn terminate(&self, context: &Context) -> Result<Termination, Failure> {
        if self.datasets.discard(context.id(), context.epoch()).await? {
            let (spec, cursor) = (context.spec::<ImportSpec>()?, context.latest_cursor::<ImportCursor>()?);
            let rejects = cursor.and_then(|cursor| cursor.rejects);
            return Ok(Termination::Published(rejects.map(|kept| rejects::file(&spec.dataset, kept))));
        }
        super::delete_files(context).await?;
        Ok(Termination::RolledBack)
    }

    async fn rollback(&self, context: &Context) -> Result<(), Failure> {
        super::delete_files(context).await?;
        self.datasets.discard(context.id(), context.epoch()).await?;
        Ok(())
    }

    async fn purge(&self, context: &Context) -> Result<(), Failure> {
        Ok(self.datasets.purge_import(context.id()).await?)
    }

    async fn reconcile(&self, context: &Context) -> Result<(), Failure> {
        let Some(text) = self.datasets.staged_cursor(context.id(), context.epoch()).await? else { return Ok(()) };
        let cursor = load::parse_cursor(&text)?;
        context.set_checkpoint(&cursor, report(&cursor))
    }

    fn result_file(&self, _task: &Task) -> Option<ResultFile> {
        None
    }

    fn rejects_file(&self, task: &Task) -> Option<ResultFile> {
        match task.state {
            State::Completed => task.result.clone(),
            State::Failed => {
                let spec: ImportSpec = serde_json::from_str(&task.spec).ok()?;
                let kept = load::parse_cursor(task.cursor.as_deref()?).ok()?.kept_rejects()?;
                Some(rejects::file(&spec.dataset, kept))
            }
            _ => None,
        }
    }
}

/// Returns the progress at `cursor`.
fn report(cursor: &ImportCursor) -> Report {
    Report { phase: "importing", done: cursor.rows, total: cursor.total() }
}
