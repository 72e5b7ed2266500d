//! Imports: a CSV file into a dataset, row by row exact through any interruption.
//!
//! [`records`] reads, [`writer`] writes; the rows and the place in the file are one transaction in the datasets' database,
//! so a run goes on at the byte where the last commit ended. Nobody sees a row before [`Kind::publish`].

pub mod api;
mod brake;
mod columns;
mod framed;
mod header;
mod infer;
mod inspect;
mod lines;
mod load;
mod records;
mod rejects;
mod shape;
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
use crate::datasets::{DatasetName, Datasets};
use crate::runner::{BadInput, Context, Failure, Kind, Plan, Report, Stop};
use crate::task::{ResultFile, State, Task, Unit};
use outbound::Outbound;
use spec::{Cursor, Source, Spec};

/// The kind's name in the store.
pub const NAME: &str = "import";

/// The kind `import`.
pub struct Import {
    /// Where the rows go.
    pub datasets: Arc<dyn Datasets>,
    /// The folder below which source.path may name files.
    pub folder: Option<PathBuf>,
    /// What fetches source.url.
    pub outbound: Outbound,
    /// The most bytes of a file, as it comes and as its text.
    pub limit: u64,
}

impl Import {
    /// The kind, over `parts`.
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

    fn plan(&self, spec: &serde_json::Value) -> Result<Plan, BadInput> {
        let spec: Spec = super::read_spec(spec)?;
        let upload = match &spec.source {
            Source::Upload(id) => Some(id.clone()),
            Source::Path(_) => None,
            Source::Url(url) => {
                self.outbound.check_url(url).map_err(|refused| BadInput::new("source.url", refused.to_string()))?;
                None
            }
        };
        Ok(Plan {
            unit: Unit::Rows,
            total: None,
            unique_key: Some(unique_key(&spec.dataset)),
            upload,
            concurrency_key: None,
        })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, Stop> {
        load::run(self, context).await
    }

    async fn publish(&self, context: &Context, rejects: Option<&ResultFile>) -> Result<(), Failure> {
        self.datasets.publish(context.id(), context.epoch(), context.now()).await?;
        match rejects {
            Some(_) => super::publish_file(context, rejects).await,
            // A run before this one may have FAILED and left its rejects.
            None => super::delete_files(context).await,
        }
    }

    async fn fail(&self, context: &Context) -> Result<(), Failure> {
        let (spec, cursor) = (context.spec::<Spec>()?, context.noted::<Cursor>()?);
        let Some(kept) = cursor.and_then(|cursor| cursor.rejects) else { return self.rollback(context).await };
        super::publish_file(context, Some(&rejects::file(&spec.dataset, kept))).await?;
        Ok(self.datasets.discard(context.id(), context.epoch()).await?)
    }

    async fn rollback(&self, context: &Context) -> Result<(), Failure> {
        super::delete_files(context).await?;
        Ok(self.datasets.discard(context.id(), context.epoch()).await?)
    }

    async fn purge(&self, context: &Context) -> Result<(), Failure> {
        Ok(self.datasets.purge_import(context.id()).await?)
    }

    async fn reconcile(&self, context: &Context) -> Result<(), Failure> {
        let Some(text) = self.datasets.staged_cursor(context.id(), context.epoch()).await? else { return Ok(()) };
        let cursor = load::parse(&text)?;
        context.note(&cursor, report(&cursor))
    }

    fn result_file(&self, _task: &Task) -> Option<ResultFile> {
        None
    }

    fn rejects_file(&self, task: &Task) -> Option<ResultFile> {
        match task.state {
            State::Completed => task.result.clone(),
            State::Failed => {
                let spec: Spec = serde_json::from_str(&task.spec).ok()?;
                let kept = load::parse(task.cursor.as_deref()?).ok()?.rejects?;
                Some(rejects::file(&spec.dataset, kept))
            }
            _ => None,
        }
    }
}

/// What only one unfinished import holds: the dataset that it fills.
pub fn unique_key(dataset: &DatasetName) -> String {
    format!("dataset:{dataset}")
}

/// What people are told at `cursor`.
fn report(cursor: &Cursor) -> Report {
    Report { phase: "importing", done: cursor.rows, total: cursor.total() }
}
