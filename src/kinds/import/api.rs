//! Imports in the API.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject};

use super::spec::{Format, Source, Spec};
use super::{NAME, source};
use crate::datasets::{DatasetName, Mode};
use crate::graphql::error::{self, Result};
use crate::graphql::scalars::{Count, DateTime, Upload};
use crate::graphql::services::Services;
use crate::graphql::task::task_type;
use crate::runner::{BadInput, StartOptions};
use crate::task::{State, Task};

task_type! {
    /// An import of a CSV file into a dataset. Nobody sees a row of it before it is COMPLETED.
    ImportTask, ImportFields
}

/// What an import has beyond other tasks.
pub struct ImportFields(Arc<Task>);

#[Object]
impl ImportFields {
    /// The dataset that it fills.
    async fn dataset(&self) -> Result<String> {
        let spec: Spec = serde_json::from_str(&self.0.spec).map_err(error::internal)?;
        Ok(spec.dataset.to_string())
    }

    /// Rows that are committed. They are undone again where it is terminated.
    async fn rows_imported(&self) -> Count {
        let undone = self.0.state == State::Terminated;
        Count(if undone { 0 } else { self.0.progress.done })
    }
}

/// Where the file comes from: exactly one of these.
#[derive(OneofObject)]
pub enum ImportSource {
    /// A file part of this request.
    Upload(Upload),
    /// What POST /uploads answered.
    UploadId(ID),
    /// A file below the server's import folder.
    Path(String),
}

/// What becomes of rows that are in the dataset already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Mode")]
pub enum ImportMode {
    /// The dataset must not exist yet.
    Create,
    /// The new rows take the place of all old ones, in one step at the end.
    Replace,
    /// The new rows come behind the old ones, all in one step at the end. The columns must be the same.
    Append,
}

/// How the CSV file is written.
#[derive(InputObject)]
pub struct CsvFormatInput {
    /// What stands between two cells: one ASCII character. A comma where it is not given.
    delimiter: Option<String>,
    /// What stands around a cell: one ASCII character. A double quote where it is not given.
    quote: Option<String>,
    /// Whether the first line names the columns; else they are column_1, column_2 and so on.
    #[graphql(default = true)]
    header: bool,
    /// A cell of exactly this text is null.
    null_value: Option<String>,
}

/// What to import.
#[derive(InputObject)]
pub struct StartImportInput {
    /// Where the file comes from.
    source: ImportSource,
    /// The dataset to fill: a letter, then letters, digits and _, at most 63.
    dataset: String,
    /// What becomes of rows that are there already.
    #[graphql(default_with = "ImportMode::Create")]
    mode: ImportMode,
    /// How the file is written; RFC 4180 where it is not given.
    csv: Option<CsvFormatInput>,
    /// A brake, for a database that others use too; it can be watched at leisure as well.
    max_rows_per_second: Option<f64>,
    /// Your own name for the task.
    label: Option<String>,
    /// When it may first run.
    start_at: Option<DateTime>,
    /// A second start with the same key gives the first one's task.
    idempotency_key: Option<String>,
}

/// Starting imports.
#[derive(Default)]
pub struct ImportStart;

#[Object]
impl ImportStart {
    /// Starts an import and answers at once; the file is read afterwards.
    async fn start_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to import, and how.")] input: StartImportInput,
    ) -> Result<ImportTask> {
        let services = ctx.data_unchecked::<Services>();
        let options = StartOptions {
            label: input.label.clone(),
            start_at: input.start_at.map(|at| at.0),
            idempotency_key: input.idempotency_key.clone(),
        };
        let spec = read(services, input).await?;
        let known = services.repeated(&options).await?;
        if known.is_none() {
            check(services, &spec).await?;
        }
        let spec = serde_json::to_value(&spec).map_err(error::internal)?;
        services.start(NAME, spec, options).await.map(ImportTask::from)
    }
}

async fn read(services: &Services, input: StartImportInput) -> Result<Spec> {
    let dataset: DatasetName = input
        .dataset
        .parse()
        .map_err(|error: crate::datasets::InvalidName| error::bad_input("dataset", error.to_string()))?;
    let rate = input.max_rows_per_second;
    if rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Err(error::bad_input("maxRowsPerSecond", "maxRowsPerSecond must be more than 0"));
    }
    let source = match input.source {
        ImportSource::Upload(Upload(id)) => Source::Upload(known_upload(services, "source.upload", id).await?),
        ImportSource::UploadId(ID(id)) => Source::Upload(known_upload(services, "source.uploadId", id).await?),
        ImportSource::Path(name) => known_path(services, name).await?,
    };
    let csv = input.csv.map_or_else(|| Ok(Format::default()), format)?;
    Ok(Spec { source, dataset, mode: input.mode.into(), csv, max_rows_per_second: rate })
}

async fn known_upload(services: &Services, field: &str, id: String) -> Result<String> {
    match services.store.upload(&id).await.map_err(error::from_store)? {
        Some(upload) => Ok(upload.id),
        None => {
            Err(error::bad_input(field, format!("there is no upload {id:?}: send the file to POST /uploads first")))
        }
    }
}

async fn known_path(services: &Services, name: String) -> Result<Source> {
    let folder = services.import_dir.clone();
    let found =
        tokio::task::spawn_blocking(move || source::below(folder.as_deref(), &name).map(|_| Source::Path(name)));
    found.await.map_err(error::internal)?.map_err(|BadInput { field, message }| error::bad_input(&field, message))
}

fn format(input: CsvFormatInput) -> Result<Format> {
    let default = Format::default();
    let delimiter = one_ascii("csv.delimiter", input.delimiter, default.delimiter)?;
    let quote = one_ascii("csv.quote", input.quote, default.quote)?;
    if delimiter == quote {
        return Err(error::bad_input("csv.quote", "delimiter and quote must differ"));
    }
    Ok(Format { delimiter, quote, header: input.header, null_value: input.null_value })
}

fn one_ascii(field: &str, text: Option<String>, default: u8) -> Result<u8> {
    let Some(text) = text else { return Ok(default) };
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(*byte),
        _ => Err(error::bad_input(field, format!("{text:?} must be one ASCII character and no line end"))),
    }
}

/// What would fail later anyway is refused before anything is started.
async fn check(services: &Services, spec: &Spec) -> Result<()> {
    if let Some(holder) = services.store.holder(&super::exclusive(&spec.dataset)).await.map_err(error::from_store)? {
        return Err(error::conflict(holder.id));
    }
    let exists = services.datasets.get(&spec.dataset).await.map_err(error::from_datasets)?.is_some();
    match (spec.mode, exists) {
        (Mode::Create, true) => Err(error::from_datasets(crate::datasets::Error::Exists(spec.dataset.clone()))),
        (Mode::Append, false) => Err(error::from_datasets(crate::datasets::Error::Missing(spec.dataset.clone()))),
        _ => Ok(()),
    }
}
