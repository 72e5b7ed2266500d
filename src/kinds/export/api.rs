//! Exports in the API.

use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object};

use super::NAME;
use super::spec::{self, Spec};
use crate::datasets::{self, ColumnFilter, DatasetName};
use crate::gql::error::{self, Result};
use crate::gql::idempotency;
use crate::gql::scalars::{Count, DateTime};
use crate::gql::services::Services;
use crate::gql::task::task_type;
use crate::kinds::api::TaskKind;
use crate::runner::StartOptions;
use crate::task::Task;

task_type! {
    /// An export of a dataset, as it stood when the export started, into a CSV file.
    ExportTask, ExportFields, TaskKind::Export
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

/// How the file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "spec::Compression")]
pub enum Compression {
    /// NAME.csv
    None,
    /// NAME.csv.gz
    Gzip,
    /// NAME.zip, which holds NAME.csv
    Zip,
}

/// A condition on a column: from <= value < to, or equals; compared by the column's type, TEXT by its bytes. Null fulfils
/// none.
#[derive(InputObject)]
pub struct ColumnFilterInput {
    /// The column's name.
    column: String,
    /// The value itself. It goes without from and to.
    equals: Option<String>,
    /// The smallest value.
    from: Option<String>,
    /// The value before which all others lie.
    to: Option<String>,
}

/// What to export.
#[derive(InputObject)]
pub struct StartExportInput {
    /// The dataset.
    dataset: String,
    /// The columns, in the order in which they are wanted; all where it is not given.
    columns: Option<Vec<String>>,
    /// All must hold. The rows that match are counted first: progress.total.
    #[graphql(name = "where")]
    filters: Option<Vec<ColumnFilterInput>>,
    /// How the file is packed.
    #[graphql(default_with = "Compression::None")]
    compression: Compression,
    /// Whether to put a ' before cells that a spreadsheet would run as a formula: those that begin with =, +, -, @, a tab
    /// or a carriage return. Numbers such as -5 and +3.2 stay as they are. Without it every cell is exported as it is.
    #[graphql(default = false)]
    guard_formulas: bool,
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
        let (key, start_at) = (idempotency::key(ctx, input.idempotency_key.clone())?, input.start_at.map(|at| at.0));
        let options = StartOptions::new(input.label.clone(), start_at, key).map_err(error::from_input)?;
        let spec = read(input)?;
        if services.repeated(NAME, &options).await?.is_none() {
            check(services, &spec).await?;
        }
        let spec = serde_json::to_value(spec).map_err(error::internal)?;
        services.start(NAME, spec, options).await.map(ExportTask::from)
    }
}

fn read(input: StartExportInput) -> Result<Spec> {
    let dataset: DatasetName =
        input.dataset.parse().map_err(|error: datasets::InvalidName| error::bad_input("dataset", error.to_string()))?;
    let rate = input.max_rows_per_second;
    if rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Err(error::bad_input("maxRowsPerSecond", "maxRowsPerSecond must be more than 0"));
    }
    let filters = input.filters.unwrap_or_default().into_iter().map(|filter| ColumnFilter {
        column: filter.column,
        equals: filter.equals,
        from: filter.from,
        to: filter.to,
    });
    Ok(Spec {
        dataset,
        columns: input.columns,
        filters: filters.collect(),
        compression: input.compression.into(),
        guard_formulas: input.guard_formulas,
        max_rows_per_second: rate,
    })
}

/// Refuses what does not fit the dataset as it is now.
async fn check(services: &Services, spec: &Spec) -> Result<()> {
    let found = services.datasets.get(&spec.dataset).await.map_err(error::from_datasets)?;
    let dataset = found.ok_or_else(|| error::from_datasets(datasets::Error::Missing(spec.dataset.clone())))?;
    let checked = spec.selection(&dataset.columns);
    checked.map(drop).map_err(|invalid| error::bad_input(invalid.field, invalid.message))
}
