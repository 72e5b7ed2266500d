//! Exports: what is chosen of a dataset, as it stood when the export began, as RFC 4180 CSV, packed where that is wanted.
//!
//! - [`spec`]: what is to be done and how far it came
//! - [`pieces`]: counting and reading; [`container`]: packing; [`write`], [`output`]: the file

pub mod api;
mod container;
mod output;
mod pieces;
mod spec;
mod write;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use self::output::Output;
use self::pieces::Source;
use self::spec::{Cursor, Spec, Written};
use self::write::Writing;
use super::KindParts;
use crate::datasets::{Column, CsvLines, Datasets, Snapshot};
use crate::files::Fingerprint;
use crate::runner::{BadInput, Context, Failure, Kind, Plan, Report, Stop};
use crate::task::{ResultFile, Unit};

/// The kind's name in the store.
pub const NAME: &str = "export";

/// The file in the task's folder.
const FILE: &str = "export";

/// The kind `export`.
pub struct Export {
    /// Where the rows are.
    pub datasets: Arc<dyn Datasets>,
}

impl Export {
    /// The kind, over `parts`.
    pub fn new(parts: &KindParts<'_>) -> Export {
        Export { datasets: Arc::clone(parts.datasets) }
    }
}

#[async_trait]
impl Kind for Export {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<Plan, BadInput> {
        super::read_spec::<Spec>(spec)?;
        Ok(Plan { unit: Unit::Rows, total: None, unique_key: None, upload: None, concurrency_key: None })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, Stop> {
        let (datasets, own) = (Arc::clone(&self.datasets), context.clone());
        // An abort does not end it: what it began in the database has ended when it returns.
        context.uninterrupted(async move { export(datasets.as_ref(), &own).await.map(Some) }).await?
    }

    async fn publish(&self, context: &Context, result: Option<&ResultFile>) -> Result<(), Failure> {
        super::publish_file(context, result).await?;
        Ok(self.datasets.unpin(context.id().into()).await?)
    }

    async fn rollback(&self, context: &Context) -> Result<(), Failure> {
        super::delete_files(context).await?;
        Ok(self.datasets.unpin(context.id().into()).await?)
    }
}

async fn export(datasets: &dyn Datasets, context: &Context) -> Result<ResultFile, Stop> {
    let spec: Spec = context.spec()?;
    let snapshot = datasets.pin(context.id().into(), &spec.dataset).await.map_err(Failure::from)?;
    let path = context.work().await?.join(FILE);
    let whole = write(datasets, context, (&spec, &snapshot), &path).await?;
    let whole = super::seal(context, path, Some(whole)).await.map_err(output::lost)?;
    Ok(ResultFile {
        name: spec.file_name(),
        size: whole.size,
        content_type: spec.content_type().to_owned(),
        sha256: whole.sha256,
    })
}

async fn write(
    datasets: &dyn Datasets,
    context: &Context,
    (spec, snapshot): (&Spec, &Snapshot),
    path: &Path,
) -> Result<Fingerprint, Stop> {
    let selection = spec.selection(&snapshot.columns).map_err(|error| Failure::input(error.to_string()))?;
    let source = Source::new(datasets.reader(snapshot, &selection), snapshot.rows, spec);
    let mut cursor: Cursor = context.cursor()?.unwrap_or_default();
    if !selection.is_every_row() {
        source.count(context, &mut cursor, snapshot.columns.len()).await?;
    }
    let total = if selection.is_every_row() { snapshot.rows } else { cursor.matching };
    let (cursor, output) = open(context, spec, path, cursor, &selection.columns(&snapshot.columns)).await?;
    let mut writing = Writing::new(context, spec, cursor, total, output);
    writing.run(&source).await?;
    let (cursor, output) = writing.end()?;
    let tail = spec.compression.tail(&spec.entry_name(), &output.written());
    let whole = output.frame(context, tail).await?.finish(context).await?;
    context.note(&cursor, Report { phase: "exporting", done: cursor.rows, total: Some(total) })?;
    Ok(whole)
}

/// The file, with what stands before its rows, and how far it came. A run that died as it finished has sealed the file under
/// another name: then it is written anew.
async fn open(
    context: &Context,
    spec: &Spec,
    path: &Path,
    cursor: Cursor,
    columns: &[&Column],
) -> Result<(Cursor, Output), Failure> {
    let compression = spec.compression;
    if cursor.file.bytes > 0
        && let Some(output) = Output::open(context, path, cursor.file.clone(), compression).await?
    {
        return Ok((cursor, output));
    }
    let output = Output::open(context, path, Written::default(), compression).await?;
    let output = output.ok_or_else(|| Failure::internal("the exported file cannot be begun"))?;
    let output = output.frame(context, compression.head(&spec.entry_name())).await?;
    let header = compression.pack(CsvLines::header(columns, spec.guard_formulas));
    let output = output.add(context, header).await?;
    let cursor = Cursor { read: 0, rows: 0, file: Written::default(), ..cursor };
    Ok((cursor, output))
}
