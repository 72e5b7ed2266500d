//! The API of exports: their fields and their start.

use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object};

use super::spec::{self, ExportSpec};
use super::{NAME, input};
use crate::access::Caller;
use crate::datasets::{self, ColumnFilter, DatasetName};
use crate::gql::column::ColumnFilterInput;
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::{Count, DateTime, Json};
use crate::gql::start_fields::{self, StartFields};
use crate::gql::task::{KindView, task_type};
use crate::kinds::api::{TaskKind, check_rate};
use crate::state::AppState;
use crate::task::{Task, rate_in_force};

task_type! {
    /// Export of a dataset to a CSV file. It contains the rows that the dataset had when the export started to run.
    ExportTask, ExportFields, TaskKind::Export, VIEW
}

/// The fields that only exports have.
pub struct ExportFields(Arc<Task>);

#[Object]
impl ExportFields {
    /// Name of the exported dataset.
    async fn dataset(&self) -> Result<String> {
        Ok(stored_spec(&self.0)?.dataset.to_string())
    }

    /// Number of rows written to the file.
    async fn rows_exported(&self) -> Count {
        Count(self.0.progress.done)
    }
}

fn stored_spec(task: &Task) -> Result<ExportSpec> {
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

/// Compression of the exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "spec::FileCompression")]
pub enum Compression {
    /// No compression: NAME.csv.
    None,
    /// gzip: NAME.csv.gz.
    Gzip,
    /// Zip archive NAME.zip with the entry NAME.csv.
    Zip,
}

/// Input of startExport.
#[derive(InputObject)]
pub struct StartExportInput {
    /// Name of the dataset.
    dataset: String,
    /// Columns, in the order of the file. Default: all columns.
    columns: Option<Vec<String>>,
    /// Conditions that a row must all match. Default: all rows. The matching rows are counted first, for progress.total.
    #[graphql(name = "where")]
    filters: Option<Vec<ColumnFilterInput>>,
    /// Compression of the file.
    #[graphql(default_with = "Compression::None")]
    compression: Compression,
    /// Put a ' before cells that a spreadsheet would run as a formula: those that begin with =, +, -, @, a tab or a carriage
    /// return. Numbers such as -5 and +3.2 are not changed. If false, every cell is exported unchanged.
    #[graphql(default = false)]
    guard_formulas: bool,
    /// Rate limit in rows per second, more than 0. Default: unlimited.
    max_rows_per_second: Option<f64>,
    /// Earliest time of the first run. Default: as soon as possible.
    start_at: Option<DateTime>,
    /// The fields that every start has.
    #[graphql(flatten)]
    common: StartFields,
}

/// The mutation that starts exports.
#[derive(Default)]
pub struct ExportStart;

#[Object]
impl ExportStart {
    /// Starts an export. Returns before the file is written. The file is RFC 4180 CSV with the rows in import order.
    async fn start_export(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Dataset, columns, conditions and options.")] input: StartExportInput,
    ) -> Result<ExportTask> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let key = idempotency::key(ctx, input.common.idempotency_key.clone())?;
        let start_at = input.start_at.map(|at| at.0);
        let (spec, common) = parse_input(input)?;
        let options = common.options(start_at, key)?;
        if app.repeated(caller, NAME, &options).await?.is_none() {
            check_selection(app, caller, &spec).await?;
        }
        let spec = serde_json::to_value(spec).map_err(error::internal)?;
        app.start(caller, NAME, spec, options).await.map(ExportTask::from)
    }
}

fn parse_input(input: StartExportInput) -> Result<(ExportSpec, StartFields)> {
    let dataset: DatasetName =
        input.dataset.parse().map_err(|error: datasets::InvalidName| error::bad_input("dataset", error.to_string()))?;
    let rate = input.max_rows_per_second;
    check_rate(rate)?;
    let filters = input.filters.unwrap_or_default().into_iter().map(ColumnFilter::from);
    let spec = ExportSpec {
        dataset,
        columns: input.columns,
        filters: filters.collect(),
        compression: input.compression.into(),
        guard_formulas: input.guard_formulas,
        max_rows_per_second: rate,
    };
    Ok((spec, input.common))
}

/// Refuses columns and conditions that do not fit the current dataset.
async fn check_selection(app: &AppState, caller: &Caller, spec: &ExportSpec) -> Result<()> {
    let found = app.datasets.get(caller, &spec.dataset).await.map_err(error::from_datasets)?;
    let dataset = found.ok_or_else(|| error::from_datasets(datasets::Error::Missing(spec.dataset.clone())))?;
    let checked = spec.selection(&dataset.columns);
    checked.map(drop).map_err(|invalid| error::bad_input(invalid.field, invalid.message))
}
