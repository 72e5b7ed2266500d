//! Datasets: their fields, rows, list and deletion.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Context, ID, Object, SimpleObject};

use super::kinds::TaskObject;
use crate::access::Caller;
use crate::datasets::{self, ColumnFilter, Dataset, DatasetName, RowRequest};
use crate::gql::budget::Budget;
use crate::gql::column::{ColumnFilterInput, ColumnOrderInput, ColumnTypeEnum};
use crate::gql::error::{self, Result};
use crate::gql::loader::Loaders;
use crate::gql::paging::{self, PageArguments};
use crate::gql::scalars::{Count, DateTime};
use crate::kinds;
use crate::runner::BadInput;
use crate::state::AppState;
use crate::store::{Filter, Page};

/// Prefix of the IDs of datasets. The name follows.
pub const ID_PREFIX: &str = "dataset:";

/// Maximum number of tasks in `importedBy`.
const IMPORTERS: u32 = 100;

/// A page of the list of datasets.
pub type DatasetConnection = Connection<String, DatasetObject, DatasetTotal>;

/// A page of a dataset's rows.
pub type RowConnection = Connection<String, RowObject, RowTotal>;

/// A dataset, for its type in the API.
pub struct DatasetObject(pub Dataset);

/// Column of a dataset.
#[derive(SimpleObject)]
#[graphql(name = "Column")]
pub struct ColumnObject {
    /// Name of the column, as in the header of the file.
    name: String,
    /// Type of the column.
    #[graphql(name = "type")]
    kind: ColumnTypeEnum,
}

/// Row of a dataset.
#[derive(SimpleObject)]
#[graphql(name = "Row")]
pub struct RowObject {
    /// Number of the row, from 1, in import order.
    number: Count,
    /// Cells in column order, as text. Null for null values.
    cells: Vec<Option<String>>,
}

/// Table that imports fill and exports read. It contains only rows of COMPLETED imports.
#[Object(name = "Dataset")]
impl DatasetObject {
    /// Unique ID of the dataset: `dataset:` and its name. A later dataset with the same name has the same ID.
    pub async fn id(&self) -> ID {
        ID(format!("{}{}", ID_PREFIX, self.0.name))
    }

    /// Name of the dataset.
    async fn name(&self) -> String {
        self.0.name.to_string()
    }

    /// Columns, in order.
    async fn columns(&self) -> Vec<ColumnObject> {
        let columns = self.0.columns.iter();
        columns.map(|column| ColumnObject { name: column.name.clone(), kind: column.kind.into() }).collect()
    }

    /// Number of rows.
    async fn row_count(&self) -> Count {
        Count(self.0.rows)
    }

    /// Time at which the dataset was created.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Time at which an import last changed the rows.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// Space that the dataset takes in its database, in bytes. Null if the dataset was deleted meanwhile.
    async fn size_bytes(&self, ctx: &Context<'_>) -> Result<Option<Count>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let (datasets, caller) = (Arc::clone(&app.datasets), caller.clone());
        let read = async move |names: Vec<_>| datasets.sizes(&caller, &names).await.map_err(error::from_datasets);
        Ok(ctx.data_unchecked::<Loaders>().dataset_sizes.load(self.0.name.clone(), read).await?.map(Count))
    }

    /// Tasks that imported the rows: the newest 100, newest first. Deleted tasks are left out.
    #[graphql(complexity = "20 + child_complexity")]
    async fn imported_by(&self, ctx: &Context<'_>) -> Result<Vec<TaskObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let ids = app.datasets.importers(caller, &self.0.name, IMPORTERS).await.map_err(error::from_datasets)?;
        let place: HashMap<_, _> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let filter = Filter { ids: Some(ids), ..Filter::default() };
        let page = Page { limit: IMPORTERS, ..Page::default() };
        let (mut tasks, _) = app.store.list(caller, &filter, page).await.map_err(error::from_store)?;
        tasks.sort_by_key(|task| place.get(&task.id).copied());
        Ok(tasks.into_iter().map(TaskObject::from).collect())
    }

    /// Lists rows, in import order unless orderBy is set. A page ends early, after at least one row, when its cells reach 4 MiB.
    /// Filtered or ordered rows have no index: if they are not found within 10 seconds, the error is TOO_LARGE.
    #[graphql(complexity = "paging::complexity(first.or(last), child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn rows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Maximum number of rows from the start, 0 to 500. Default: 50, unless last is set.")]
        first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor, which is the number of a row.")] after: Option<String>,
        #[graphql(desc = "Maximum number of rows from the end, 0 to 500. Excludes first.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor, which is the number of a row.")] before: Option<String>,
        #[graphql(name = "where", desc = "Conditions that a row must all match, at most 50. Default: all rows.")]
        filters: Option<Vec<ColumnFilterInput>>,
        #[graphql(
            desc = "Columns to order by, at most 8. Values are compared by the column's type, TEXT by bytes. Null is greater \
                    than every value. Rows with equal values are in import order. Default: import order."
        )]
        order_by: Option<Vec<ColumnOrderInput>>,
    ) -> Result<RowConnection> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let permit = ctx.data_unchecked::<Budget>().rows.permit().await?;
        let selected = RowRequest {
            filters: filters.unwrap_or_default().into_iter().map(Into::into).collect(),
            order: order_by.unwrap_or_default().into_iter().map(Into::into).collect(),
            ..RowRequest::default()
        };
        let page = PageArguments { first, after, last, before };
        let (connection, bytes) = rows(app, caller, &self.0, selected, &page).await?;
        permit.spend(bytes);
        Ok(connection)
    }
}

/// Counts the datasets if the client selects the field.
pub struct DatasetTotal;

#[Object]
impl DatasetTotal {
    /// Number of datasets, on all pages.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        app.datasets.count(caller).await.map(Count).map_err(error::from_datasets)
    }
}

/// Counts the matching rows of a dataset if the client selects the field.
pub struct RowTotal {
    dataset: DatasetName,
    rows: u64,
    filters: Vec<ColumnFilter>,
}

#[Object]
impl RowTotal {
    /// Number of matching rows of the dataset, on all pages.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        if self.filters.is_empty() {
            return Ok(Count(self.rows));
        }
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let count = app.datasets.count_rows(caller, &self.dataset, &self.filters).await;
        count.map(Count).map_err(error::from_datasets)
    }
}

/// The mutations of datasets.
#[derive(Default)]
pub struct DatasetMutation;

#[Object]
impl DatasetMutation {
    /// Deletes a dataset. Returns false if no dataset has this name. Running exports finish with the rows they started with.
    /// Refused with CONFLICT and the import's ID while an import is filling the dataset.
    async fn drop_dataset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Name of the dataset.")] name: String,
    ) -> Result<bool> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let name: DatasetName =
            name.parse().map_err(|error: datasets::InvalidName| error::bad_input("name", error.to_string()))?;
        if let Some(holder) =
            app.store.conflicting_task(caller, &kinds::dataset_key(&name)).await.map_err(error::from_store)?
        {
            let text = format!("Task {} is filling the dataset. Wait for it, or terminate it.", holder.id);
            return Err(error::conflict(holder.id, text));
        }
        app.datasets.drop_dataset(caller, &name).await.map_err(error::from_datasets)
    }
}

/// Reads a page of the list of datasets.
pub async fn list(app: &AppState, caller: &Caller, page: &PageArguments) -> Result<DatasetConnection> {
    let (limit, from_end) = page.limit()?;
    for (field, cursor) in [("after", &page.after), ("before", &page.before)] {
        BadInput::check_text(field, cursor.as_deref(), usize::MAX).map_err(error::from_input)?;
    }
    let found = app.datasets.list(caller, page.after.as_deref(), page.before.as_deref(), limit + 1, from_end);
    let mut found = found.await.map_err(error::from_datasets)?;
    let (has_previous, has_next) = page.trim(&mut found, limit, from_end);
    let mut connection = Connection::with_additional_fields(has_previous, has_next, DatasetTotal);
    let edges = found.into_iter().map(|dataset| Edge::new(dataset.name.to_string(), DatasetObject(dataset)));
    connection.edges.extend(edges);
    Ok(connection)
}

/// Reads a page of the rows that `selected` selects and orders. Returns its size in bytes as well.
async fn rows(
    app: &AppState,
    caller: &Caller,
    dataset: &Dataset,
    selected: RowRequest,
    page: &PageArguments,
) -> Result<(RowConnection, usize)> {
    let (limit, from_end) = page.limit()?;
    let (after, before) = (row_number("after", page.after.as_ref())?, row_number("before", page.before.as_ref())?);
    let request = RowRequest { after, before, limit, from_end, ..selected };
    let found = app.datasets.rows(caller, &dataset.name, &request).await.map_err(error::from_datasets)?;
    let (has_previous, has_next) =
        if from_end { (found.more, before.is_some()) } else { (after.is_some_and(|after| after > 0), found.more) };
    let total = RowTotal { dataset: dataset.name.clone(), rows: dataset.rows, filters: request.filters };
    let mut connection = Connection::with_additional_fields(has_previous, has_next, total);
    let edges = found.batch.rows().zip(&found.numbers).map(|(row, number)| {
        let cells = row.map(|cell| cell.map(str::to_owned)).collect();
        Edge::new(number.to_string(), RowObject { number: Count(*number), cells })
    });
    connection.edges.extend(edges);
    Ok((connection, found.batch.bytes() + datasets::CELL_BYTES * found.batch.width() * found.batch.len()))
}

fn row_number(field: &str, cursor: Option<&String>) -> Result<Option<u64>> {
    let refuse = |cursor| error::bad_input(field, format!("{field} must be a cursor of this list, got {cursor:?}."));
    cursor.map(|cursor| cursor.parse().map_err(|_| refuse(cursor))).transpose()
}
