//! The API of imports: their fields and their start.

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject};
use encoding_rs::Encoding;
use serde_json::json;

use super::spec::{BadRows, CsvFormat, FileSource, ImportSpec};
use super::{NAME, input, load, source};
use crate::access::Caller;
use crate::datasets::{Column, DatasetName, PublishMode};
use crate::gql::column::ColumnTypeEnum;
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::{Count, DateTime, Json, UploadScalar};
use crate::gql::secrets;
use crate::gql::start_fields::{self, StartFields};
use crate::gql::task::{KindView, ResultFileObject, task_type};
use crate::kinds::{
    self,
    api::{TaskKind, check_rate},
};
use crate::spawn::spawn_blocking;
use crate::state::AppState;
use crate::task::{IdempotencyKey, State, Task, rate_in_force};

task_type! {
    /// Import of a CSV file into a dataset. Its rows become visible all at once, when it is COMPLETED.
    ImportTask, ImportFields, TaskKind::Import, VIEW
}

/// The fields that only imports have.
pub struct ImportFields(Arc<Task>);

#[Object]
impl ImportFields {
    /// Name of the dataset that the import fills.
    async fn dataset(&self) -> Result<String> {
        Ok(stored_spec(&self.0)?.dataset.to_string())
    }

    /// Number of bad rows that were written to the rejects. Also counted for an import that FAILED because of maxBadRows. 0 when
    /// TERMINATED.
    async fn rows_rejected(&self) -> Result<Count> {
        let rolled_back = self.0.state == State::Terminated;
        let cursor = self.0.cursor.as_deref().filter(|_| !rolled_back).map(load::parse_cursor).transpose();
        Ok(Count(cursor.map_err(error::internal)?.map_or(0, |cursor| cursor.rejected)))
    }

    /// The rejected rows as a CSV file. It has the columns line, column and reason, then the original cells in the format of the
    /// imported file. After the cells are corrected, it can be imported with APPEND: its first three columns are skipped. Null
    /// if there are no rejects, and before the import is COMPLETED or FAILED because of maxBadRows.
    async fn rejects(&self, ctx: &Context<'_>) -> Option<ResultFileObject> {
        let file = ctx.data_unchecked::<AppState>().runner.rejects_file(&self.0)?;
        Some(ResultFileObject::at(format!("/download/{}/rejects", self.0.id), &file))
    }

    /// Number of committed rows. 0 when TERMINATED, because they are rolled back.
    async fn rows_imported(&self) -> Count {
        let rolled_back = self.0.state == State::Terminated;
        Count(if rolled_back { 0 } else { self.0.progress.done })
    }
}

fn stored_spec(task: &Task) -> Result<ImportSpec> {
    serde_json::from_str(&task.spec).map_err(error::internal)
}

const VIEW: KindView = KindView { spec: spec_input, rate: |task| Ok(stored_spec(task)?.max_rows_per_second) };

fn spec_input(task: &Task) -> Result<Json> {
    let spec = stored_spec(task)?;
    let rate = rate_in_force(task.max_rows_per_second, spec.max_rows_per_second);
    let mut fields = input::fields(spec, rate);
    fields["startAt"] = start_fields::start_at_of(task);
    start_fields::spec_of(task, fields)
}

/// Source of the file: exactly one field.
#[derive(OneofObject)]
pub enum ImportSource {
    /// File part of this request.
    Upload(UploadScalar),
    /// Upload ID that POST /uploads returned.
    UploadId(ID),
    /// Path of a file below the server's import folder (setting import_dir).
    Path(String),
    /// URL with http or https. An interrupted download is resumed. A password in the URL is never shown.
    Url(String),
}

/// Treatment of existing rows of the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "PublishMode")]
pub enum ImportMode {
    /// Creates the dataset. Refused with ALREADY_EXISTS if it exists.
    Create,
    /// Replaces all existing rows, atomically, when the import completes.
    Replace,
    /// Adds the rows after the existing ones, atomically, when the import completes. The columns must match.
    Append,
}

/// Format of a CSV file.
#[derive(InputObject)]
pub struct CsvFormatInput {
    /// Field delimiter, one ASCII character. Default: comma. If unset, a file that clearly uses another delimiter is refused,
    /// and the error names the delimiter.
    delimiter: Option<String>,
    /// Quote character, one ASCII character. Default: double quote.
    quote: Option<String>,
    /// The first line contains the column names. If false, the columns are named column_1, column_2 and so on.
    #[graphql(default = true)]
    header: bool,
    /// Text of a null cell, compared exactly. Default: none; empty cells are null in every type but TEXT.
    null_value: Option<String>,
    /// Text encoding, by a label of the WHATWG Encoding Standard such as utf-16le, windows-1252 or koi8-r. Default: the
    /// encoding of the byte-order mark, else UTF-8. gzip and zstd are detected automatically.
    encoding: Option<String>,
}

/// Treatment of bad rows. A row is bad if its number of cells is wrong, or a cell cannot be decoded or does not fit its
/// column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OnBadRow {
    /// Fails the import with the line and the reason, and rolls it back.
    Fail,
    /// Writes the row to the rejects and continues.
    Skip,
}

/// Column of the file, and its type.
#[derive(InputObject)]
pub struct ColumnInput {
    /// Name of the column, as in the header. Without a header, the columns are named column_1, column_2 and so on.
    name: String,
    /// Type of the column. An empty cell is null, except in TEXT.
    #[graphql(name = "type")]
    kind: ColumnTypeEnum,
}

/// Input of startImport.
#[derive(InputObject)]
pub struct StartImportInput {
    /// Source of the file.
    source: ImportSource,
    /// Name of the dataset to fill: a letter, then letters, digits and _, at most 63 characters.
    dataset: String,
    /// Treatment of existing rows.
    #[graphql(default_with = "ImportMode::Create")]
    mode: ImportMode,
    /// Format of the file. Default: RFC 4180.
    csv: Option<CsvFormatInput>,
    /// Types of columns. Other columns have the type of the dataset's column with APPEND, an inferred type with inferTypes,
    /// else TEXT.
    columns: Option<Vec<ColumnInput>>,
    /// Infer types from the first 10,000 rows. Columns with leading zeros, telephone numbers or numbers beyond 64 bits stay
    /// TEXT.
    #[graphql(default = false)]
    infer_types: bool,
    /// Treatment of bad rows.
    #[graphql(default_with = "OnBadRow::Fail")]
    on_bad_row: OnBadRow,
    /// Maximum number of bad rows with onBadRow: SKIP. One more fails the task; the rejects up to that row are kept. Default:
    /// no limit.
    max_bad_rows: Option<Count>,
    /// Rate limit in rows per second, more than 0. Default: unlimited.
    max_rows_per_second: Option<f64>,
    /// Earliest time of the first run. Default: as soon as possible.
    start_at: Option<DateTime>,
    /// The fields that every start has.
    #[graphql(flatten)]
    common: StartFields,
}

/// The mutation that starts imports.
#[derive(Default)]
pub struct ImportStart;

#[Object]
impl ImportStart {
    /// Starts an import. Returns before the file is read. Refused with CONFLICT while another import fills the dataset.
    async fn start_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "File, dataset and options.")] input: StartImportInput,
    ) -> Result<ImportTask> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let start_at = input.start_at.map(|at| at.0);
        let (spec, common) = parse_input(app, caller, input).await?;
        let key = idempotency_key(ctx, common.idempotency_key.clone(), &spec.source).await?;
        let options = common.options(start_at, key)?;
        if app.repeated(caller, NAME, &options).await?.is_none() {
            check_dataset(app, caller, &spec).await?;
        }
        let spec = serde_json::to_value(&spec).map_err(error::internal)?;
        app.start(caller, NAME, spec, options).await.map(ImportTask::from)
    }
}

/// Makes the idempotency key of a start. An upload counts by its SHA-256, so sending the same file again is the same input.
async fn idempotency_key(
    ctx: &Context<'_>,
    key: Option<String>,
    source: &FileSource,
) -> Result<Option<IdempotencyKey>> {
    let (Some(text), FileSource::Upload(id)) = (&key, source) else { return idempotency::key(ctx, key) };
    let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
    let upload = app.store.upload(caller, id).await.map_err(error::from_store)?;
    let mut input = idempotency::input(ctx)?;
    input["input"]["source"] = json!({ "sha256": upload.and_then(|upload| upload.sha256) });
    Ok(Some(idempotency::key_for(text.clone(), &input)))
}

async fn parse_input(app: &AppState, caller: &Caller, input: StartImportInput) -> Result<(ImportSpec, StartFields)> {
    let dataset: DatasetName = input
        .dataset
        .parse()
        .map_err(|error: crate::datasets::InvalidName| error::bad_input("dataset", error.to_string()))?;
    let rate = input.max_rows_per_second;
    check_rate(rate)?;
    let columns = parse_columns(input.columns.unwrap_or_default())?;
    let bad_rows = match (input.on_bad_row, input.max_bad_rows) {
        (OnBadRow::Skip, limit) => BadRows::Skip(limit.map(|Count(limit)| limit)),
        (OnBadRow::Fail, None | Some(Count(0))) => BadRows::Fail,
        (OnBadRow::Fail, Some(_)) => {
            return Err(error::bad_input("maxBadRows", "maxBadRows requires onBadRow: SKIP, got FAIL."));
        }
    };
    let source = match input.source {
        ImportSource::Upload(UploadScalar(id)) => {
            FileSource::Upload(check_upload(app, caller, "source.upload", id).await?)
        }
        ImportSource::UploadId(ID(id)) => FileSource::Upload(check_upload(app, caller, "source.uploadId", id).await?),
        ImportSource::Url(url) => {
            secrets::refuse_masked_url("source.url", &url)?;
            FileSource::Url(url)
        }
        ImportSource::Path(name) => check_path(app, name).await?,
    };
    let csv = input.csv.map_or_else(|| Ok(CsvFormat::default()), parse_format)?;
    let (mode, infer_types) = (input.mode.into(), input.infer_types);
    let spec = ImportSpec { source, dataset, mode, csv, columns, infer_types, bad_rows, max_rows_per_second: rate };
    Ok((spec, input.common))
}

fn parse_columns(input: Vec<ColumnInput>) -> Result<Vec<Column>> {
    let mut names = HashSet::new();
    if let Some(duplicate) = input.iter().find(|column| !names.insert(&column.name)) {
        return Err(error::bad_input("columns", format!("columns contains {:?} twice.", duplicate.name)));
    }
    Ok(input.into_iter().map(|column| Column { name: column.name, kind: column.kind.into() }).collect())
}

async fn check_upload(app: &AppState, caller: &Caller, field: &str, id: String) -> Result<String> {
    match app.store.upload(caller, &id).await.map_err(error::from_store)? {
        Some(upload) if upload.is_complete() => Ok(upload.id),
        Some(upload) => {
            let received = app.files.blobs.received_bytes(&id).await.map_err(error::from_blobs)?;
            let of_size = upload.size.map_or(String::new(), |size| format!(" of {size}"));
            let text =
                format!("Upload {id} is incomplete: {received}{of_size} bytes received. Send the rest first (tus).");
            Err(error::bad_input(field, text))
        }
        None => Err(error::bad_input(field, format!("Upload {id:?} not found. Send the file to POST /uploads first."))),
    }
}

async fn check_path(app: &AppState, name: String) -> Result<FileSource> {
    let folder = app.config.import_dir.clone();
    let found = spawn_blocking(move || source::below(folder.as_deref(), &name).map(|_| FileSource::Path(name)));
    found.await.map_err(error::internal)?.map_err(error::from_input)
}

fn parse_format(input: CsvFormatInput) -> Result<CsvFormat> {
    let default = CsvFormat::default();
    let delimiter_given = input.delimiter.is_some();
    let delimiter = parse_ascii("csv.delimiter", input.delimiter, default.delimiter)?;
    let quote = parse_ascii("csv.quote", input.quote, default.quote)?;
    if delimiter == quote {
        return Err(error::bad_input(
            "csv.quote",
            format!("csv.delimiter and csv.quote must differ, got {:?} for both.", char::from(quote)),
        ));
    }
    let encoding = input.encoding.map(parse_encoding).transpose()?;
    Ok(CsvFormat { delimiter, delimiter_given, quote, header: input.header, null_value: input.null_value, encoding })
}

fn parse_encoding(label: String) -> Result<String> {
    match Encoding::for_label_no_replacement(label.as_bytes()) {
        Some(encoding) => Ok(encoding.name().to_owned()),
        None => Err(error::bad_input(
            "csv.encoding",
            format!("{label:?} is not a known encoding. Use a label such as utf-16le or windows-1252."),
        )),
    }
}

fn parse_ascii(field: &str, text: Option<String>, default: u8) -> Result<u8> {
    let Some(text) = text else { return Ok(default) };
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(*byte),
        _ => Err(error::bad_input(
            field,
            format!("{field} must be one ASCII character other than a line end, got {text:?}."),
        )),
    }
}

/// Refuses a start that would fail as soon as it runs.
async fn check_dataset(app: &AppState, caller: &Caller, spec: &ImportSpec) -> Result<()> {
    if let Some(other) =
        app.store.conflicting_task(caller, &kinds::dataset_key(&spec.dataset)).await.map_err(error::from_store)?
    {
        let text = format!("Task {} is filling the dataset. Wait for it, or terminate it.", other.id);
        return Err(error::conflict(other.id, text));
    }
    let exists = app.datasets.get(caller, &spec.dataset).await.map_err(error::from_datasets)?.is_some();
    match (spec.mode, exists) {
        (PublishMode::Create, true) => Err(error::from_datasets(crate::datasets::Error::Exists(spec.dataset.clone()))),
        (PublishMode::Append, false) => {
            Err(error::from_datasets(crate::datasets::Error::Missing(spec.dataset.clone())))
        }
        _ => Ok(()),
    }
}
