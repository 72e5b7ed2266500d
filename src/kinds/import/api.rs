//! Imports in the API.

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject};
use encoding_rs::Encoding;
use serde_json::json;

use super::spec::{BadRows, Format, Source, Spec};
use super::{NAME, load, source};
use crate::datasets::{Column, DatasetName, PublishMode};
use crate::gql::column::ColumnType;
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::{Count, DateTime, Upload};
use crate::gql::services::Services;
use crate::gql::task::{ResultFile, task_type};
use crate::kinds::api::TaskKind;
use crate::runner::StartOptions;
use crate::task::{IdempotencyKey, State, Task};

task_type! {
    /// An import of a CSV file into a dataset. Nobody sees a row of it before it is COMPLETED.
    ImportTask, ImportFields, TaskKind::Import
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

    /// Number of rows that went to the rejects instead of the dataset. Of an import that FAILED past maxBadRows too.
    async fn rows_rejected(&self) -> Result<Count> {
        let undone = self.0.state == State::Terminated;
        let cursor = self.0.cursor.as_deref().filter(|_| !undone).map(load::parse).transpose();
        Ok(Count(cursor.map_err(error::internal)?.map_or(0, |cursor| cursor.rejected)))
    }

    /// The rejected rows as CSV, once COMPLETED, or FAILED past maxBadRows: the line, the column and the reason, then the cells
    /// as they were, in the format of the file. Mended, it can be imported with APPEND: its first three columns are passed
    /// over. Null if there are none.
    async fn rejects(&self, ctx: &Context<'_>) -> Option<ResultFile> {
        let file = ctx.data_unchecked::<Services>().runner.rejects_file(&self.0)?;
        Some(ResultFile::at(format!("/download/{}/rejects", self.0.id), &file))
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
    /// A URL of http or https. A download that breaks off is gone on with; its password, if it has one, is never shown.
    Url(String),
}

/// What becomes of rows that are in the dataset already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "PublishMode")]
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
    /// Field delimiter, one ASCII character. Default: comma. If it is not set, a file that another delimiter evidently splits
    /// is refused with the delimiter to set.
    delimiter: Option<String>,
    /// What stands around a cell: one ASCII character. A double quote where it is not given.
    quote: Option<String>,
    /// Whether the first line names the columns; else they are column_1, column_2 and so on.
    #[graphql(default = true)]
    header: bool,
    /// A cell of exactly this text is null.
    null_value: Option<String>,
    /// Encoding, by any label of the WHATWG Encoding Standard, such as utf-16le, windows-1252 or koi8-r. Default: UTF-8, or
    /// what a byte-order mark says. gzip and zstd are detected automatically.
    encoding: Option<String>,
}

/// What becomes of a row with too few or too many cells, or with a cell that cannot be read or is none of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OnBadRow {
    /// The import fails with the line and the reason, and nothing is left of it.
    Fail,
    /// It is written to the rejects, and the import goes on.
    Skip,
}

/// A column of the file.
#[derive(InputObject)]
pub struct ColumnInput {
    /// Its name, as in the header; in a file without a header the columns are named in their order.
    name: String,
    /// Its type. An empty cell is null, but for TEXT.
    #[graphql(name = "type")]
    kind: ColumnType,
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
    /// The types of columns. Those that are not named here have the types of the dataset with APPEND, the types that a
    /// sample shows with inferTypes, else TEXT.
    columns: Option<Vec<ColumnInput>>,
    /// Whether to find the types by the first 10,000 rows. Leading zeros, telephone numbers and numbers of more digits
    /// than 64 bits hold stay TEXT.
    #[graphql(default = false)]
    infer_types: bool,
    /// What becomes of bad rows.
    #[graphql(default_with = "OnBadRow::Fail")]
    on_bad_row: OnBadRow,
    /// With SKIP: maximum number of bad rows. With one more the task fails, and its rejects up to that row are kept. Default:
    /// no limit.
    max_bad_rows: Option<Count>,
    /// A brake, for a database that others use too; it can be watched at leisure as well.
    max_rows_per_second: Option<f64>,
    /// Label chosen by the client, up to 200 characters.
    label: Option<String>,
    /// When it may first run.
    start_at: Option<DateTime>,
    /// Makes the call repeatable, up to 200 characters: a second one with the same key and the same input returns the first one's task. The same
    /// key with a different input, or for a different kind of task, is refused with CONFLICT and the id of that task.
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
        let (label, start_at) = (input.label.clone(), input.start_at.map(|at| at.0));
        let key = input.idempotency_key.clone();
        let spec = read(services, input).await?;
        let idempotency_key = key_of(ctx, key, &spec.source).await?;
        let options = StartOptions::new(label, start_at, idempotency_key).map_err(error::from_input)?;
        if services.repeated(NAME, &options).await?.is_none() {
            check(services, &spec).await?;
        }
        let spec = serde_json::to_value(&spec).map_err(error::internal)?;
        services.start(NAME, spec, options).await.map(ImportTask::from)
    }
}

/// The key of a start. A file that is sent again is the same input, whatever its upload is called.
async fn key_of(ctx: &Context<'_>, key: Option<String>, source: &Source) -> Result<Option<IdempotencyKey>> {
    let (Some(text), Source::Upload(id)) = (&key, source) else { return idempotency::key(ctx, key) };
    let services = ctx.data_unchecked::<Services>();
    let upload = services.store.upload(id).await.map_err(error::from_store)?;
    let mut input = idempotency::input(ctx)?;
    input["input"]["source"] = json!({ "sha256": upload.and_then(|upload| upload.sha256) });
    Ok(Some(idempotency::key_for(text.clone(), &input)))
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
    let columns = columns(input.columns.unwrap_or_default())?;
    let bad_rows = match (input.on_bad_row, input.max_bad_rows) {
        (OnBadRow::Skip, most) => BadRows::Skip(most.map(|Count(most)| most)),
        (OnBadRow::Fail, None | Some(Count(0))) => BadRows::Fail,
        (OnBadRow::Fail, Some(_)) => return Err(error::bad_input("maxBadRows", "maxBadRows goes with onBadRow: SKIP")),
    };
    let source = match input.source {
        ImportSource::Upload(Upload(id)) => Source::Upload(known_upload(services, "source.upload", id).await?),
        ImportSource::UploadId(ID(id)) => Source::Upload(known_upload(services, "source.uploadId", id).await?),
        ImportSource::Url(url) => Source::Url(url),
        ImportSource::Path(name) => known_path(services, name).await?,
    };
    let csv = input.csv.map_or_else(|| Ok(Format::default()), format)?;
    let (mode, infer_types) = (input.mode.into(), input.infer_types);
    Ok(Spec { source, dataset, mode, csv, columns, infer_types, bad_rows, max_rows_per_second: rate })
}

fn columns(input: Vec<ColumnInput>) -> Result<Vec<Column>> {
    let mut names = HashSet::new();
    if let Some(twice) = input.iter().find(|column| !names.insert(&column.name)) {
        return Err(error::bad_input("columns", format!("columns names {:?} twice", twice.name)));
    }
    Ok(input.into_iter().map(|column| Column { name: column.name, kind: column.kind.into() }).collect())
}

async fn known_upload(services: &Services, field: &str, id: String) -> Result<String> {
    match services.store.upload(&id).await.map_err(error::from_store)? {
        Some(upload) if upload.is_whole() => Ok(upload.id),
        Some(upload) => {
            let here = services.files.received(&id).await.map_err(error::internal)?;
            let all = upload.size.map_or(String::new(), |size| format!(" of {size}"));
            let text = format!("upload {id} is not whole yet: {here}{all} bytes are there; send the rest first (tus)");
            Err(error::bad_input(field, text))
        }
        None => {
            Err(error::bad_input(field, format!("there is no upload {id:?}: send the file to POST /uploads first")))
        }
    }
}

async fn known_path(services: &Services, name: String) -> Result<Source> {
    let folder = services.import_dir.clone();
    let found =
        tokio::task::spawn_blocking(move || source::below(folder.as_deref(), &name).map(|_| Source::Path(name)));
    found.await.map_err(error::internal)?.map_err(error::from_input)
}

fn format(input: CsvFormatInput) -> Result<Format> {
    let default = Format::default();
    let delimiter_given = input.delimiter.is_some();
    let delimiter = one_ascii("csv.delimiter", input.delimiter, default.delimiter)?;
    let quote = one_ascii("csv.quote", input.quote, default.quote)?;
    if delimiter == quote {
        return Err(error::bad_input("csv.quote", "delimiter and quote must differ"));
    }
    let encoding = input.encoding.map(encoding).transpose()?;
    Ok(Format { delimiter, delimiter_given, quote, header: input.header, null_value: input.null_value, encoding })
}

fn encoding(label: String) -> Result<String> {
    match Encoding::for_label_no_replacement(label.as_bytes()) {
        Some(encoding) => Ok(encoding.name().to_owned()),
        None => Err(error::bad_input(
            "csv.encoding",
            format!("{label:?} is no encoding that is known, such as utf-16le or windows-1252"),
        )),
    }
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
    if let Some(holder) = services.store.holder(&super::unique_key(&spec.dataset)).await.map_err(error::from_store)? {
        return Err(error::conflict(holder.id));
    }
    let exists = services.datasets.get(&spec.dataset).await.map_err(error::from_datasets)?.is_some();
    match (spec.mode, exists) {
        (PublishMode::Create, true) => Err(error::from_datasets(crate::datasets::Error::Exists(spec.dataset.clone()))),
        (PublishMode::Append, false) => {
            Err(error::from_datasets(crate::datasets::Error::Missing(spec.dataset.clone())))
        }
        _ => Ok(()),
    }
}
