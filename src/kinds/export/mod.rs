//! Exports: write selected rows of a dataset, as of the start of the export, to a CSV file (RFC 4180), compressed if requested.
//!
//! - [`spec`]: spec and cursor
//! - [`chunks`]: counts and reads rows; [`container`]: compresses them; [`writer`], [`file`]: write the file

pub mod api;
mod chunks;
mod container;
mod file;
mod input;
mod spec;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use self::chunks::ChunkSource;
use self::file::ExportFile;
use self::spec::{ExportCursor, ExportSpec, WrittenFile};
use self::writer::ExportWriter;
use super::KindParts;
use super::rate_limiter::RateLimits;
use crate::access::Caller;
use crate::datasets::{Column, CsvLines, Datasets, Snapshot};
use crate::files::Fingerprint;
use crate::runner::{BadInput, Context, Failure, Kind, Report, StopReason, TaskPlan};
use crate::task::{ResultFile, Unit};

/// The kind's name in the store.
pub const NAME: &str = "export";

/// Name of the file in the task's folder.
const FILE: &str = "export";

/// The kind `export`.
pub struct Export {
    /// Database of the rows.
    pub datasets: Arc<dyn Datasets>,
}

impl Export {
    /// Makes the kind from `parts`.
    pub fn new(parts: &KindParts<'_>) -> Export {
        Export { datasets: Arc::clone(parts.datasets) }
    }
}

#[async_trait]
impl Kind for Export {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<TaskPlan, BadInput> {
        super::read_spec::<ExportSpec>(spec)?;
        Ok(TaskPlan { unit: Unit::Rows, total: None, unique_key: None, upload: None, concurrency_key: None })
    }

    fn dataset(&self, spec: &serde_json::Value) -> Option<String> {
        Some(super::read_spec::<ExportSpec>(spec).ok()?.dataset.to_string())
    }

    fn has_rate_limit(&self) -> bool {
        true
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason> {
        let (datasets, own) = (Arc::clone(&self.datasets), context.clone());
        // Continues after an abort: its queries in the database have ended when it returns.
        context.uninterrupted(async move { export(datasets.as_ref(), &own).await.map(Some) }).await?
    }

    async fn place_result(&self, context: &Context, result: Option<&ResultFile>) -> Result<(), Failure> {
        super::place_file(context, result).await
    }

    async fn publish(&self, context: &Context, _: Option<&ResultFile>) -> Result<(), Failure> {
        Ok(self.datasets.unpin(context.id().into()).await?)
    }

    async fn rollback(&self, context: &Context) -> Result<(), Failure> {
        super::delete_files(context).await?;
        Ok(self.datasets.unpin(context.id().into()).await?)
    }
}

async fn export(datasets: &dyn Datasets, context: &Context) -> Result<ResultFile, StopReason> {
    let spec: ExportSpec = context.spec()?;
    let cursor: ExportCursor = context.cursor()?.unwrap_or_default();
    if let Some(finished) = &cursor.finished
        && super::is_staged(context, finished).await?
    {
        return Ok(spec.result_file(finished.clone()));
    }
    // A pin carries no epoch.
    context.may_act().await?;
    let snapshot = datasets.pin(&Caller::system(), context.id().into(), &spec.dataset).await.map_err(Failure::from)?;
    let (cursor, report, finished) = write_file(datasets, context, (&spec, &snapshot), cursor).await?;
    context.set_checkpoint(&ExportCursor { finished: Some(finished.clone()), ..cursor }, report)?;
    Ok(spec.result_file(finished))
}

async fn write_file(
    datasets: &dyn Datasets,
    context: &Context,
    (spec, snapshot): (&ExportSpec, &Snapshot),
    mut cursor: ExportCursor,
) -> Result<(ExportCursor, Report, Fingerprint), StopReason> {
    let selection = spec.selection(&snapshot.columns).map_err(|error| Failure::input(error.to_string()))?;
    let limits = RateLimits::new(context, spec.max_rows_per_second);
    let source = ChunkSource::new(datasets.reader(snapshot, &selection), snapshot.rows, spec, &limits);
    if !selection.is_every_row() {
        source.count(context, &mut cursor, snapshot.columns.len()).await?;
    }
    let total = if selection.is_every_row() { snapshot.rows } else { cursor.matching };
    let (cursor, file) = open_file(context, spec, cursor, &selection.columns(&snapshot.columns)).await?;
    let mut writer = ExportWriter::new(context, spec, cursor, total, file);
    writer.run(&source).await?;
    let (cursor, file) = writer.end()?;
    let tail = spec.compression.tail(&spec.entry_name(), &file.written());
    let file = file.write_frame(context, tail).await?;
    let report = Report { phase: "exporting", done: cursor.rows, total: Some(total) };
    // An object is not durable here. If it cannot be finished, the last checkpoint counts.
    if context.files().is_one_folder() {
        context.set_checkpoint(&cursor, report.clone())?;
    }
    Ok((cursor, report, file.finish(context, FILE).await?))
}

/// Opens the file and writes what comes before its rows. Returns it with its cursor. If an earlier run crashed after it had staged
/// the file, the file is written again.
async fn open_file(
    context: &Context,
    spec: &ExportSpec,
    cursor: ExportCursor,
    columns: &[&Column],
) -> Result<(ExportCursor, ExportFile), Failure> {
    let compression = spec.compression;
    if cursor.file.bytes > 0
        && let Some(file) = ExportFile::open(context, FILE, cursor.file.clone(), compression).await?
    {
        return Ok((cursor, file));
    }
    let file = ExportFile::open(context, FILE, WrittenFile::default(), compression).await?;
    let file = file.ok_or_else(|| Failure::internal("The export file cannot be created."))?;
    let file = file.write_frame(context, compression.head(&spec.entry_name())).await?;
    let header = compression.compress(CsvLines::header(columns, spec.guard_formulas));
    let file = file.write_chunk(context, header).await?;
    let cursor = ExportCursor { read: 0, rows: 0, file: WrittenFile::default(), finished: None, ..cursor };
    Ok((cursor, file))
}
