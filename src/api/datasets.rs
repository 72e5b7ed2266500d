//! Datasets in the API.

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Context, Object, SimpleObject};

use crate::datasets::{self, Dataset, DatasetName};
use crate::gql::budget::Budget;
use crate::gql::column::ColumnType;
use crate::gql::error::{self, Result};
use crate::gql::paging::{self, Asked};
use crate::gql::scalars::{Count, DateTime};
use crate::gql::services::Services;
use crate::kinds::import;
use crate::runner::BadInput;

/// A part of the list of datasets.
pub type DatasetConnection = Connection<String, DatasetObject, DatasetTotal>;

/// A part of a dataset's rows.
pub type RowConnection = Connection<String, RowObject, RowTotal>;

/// A table that imports fill and exports read. It holds whole imports only.
pub struct DatasetObject(pub Dataset);

/// A column of a dataset.
#[derive(SimpleObject)]
#[graphql(name = "Column")]
pub struct ColumnObject {
    /// Its name, as it stands in the header.
    name: String,
    /// Its type.
    #[graphql(name = "type")]
    kind: ColumnType,
}

/// A row of a dataset.
#[derive(SimpleObject)]
#[graphql(name = "Row")]
pub struct RowObject {
    /// Its number, from 1, in the order of import.
    number: Count,
    /// Its cells in the order of the columns, as text; null is null.
    cells: Vec<Option<String>>,
}

/// A table that imports fill and exports read. It holds whole imports only.
#[Object(name = "Dataset")]
impl DatasetObject {
    /// Its name.
    async fn name(&self) -> String {
        self.0.name.to_string()
    }

    /// Its columns, in order.
    async fn columns(&self) -> Vec<ColumnObject> {
        let columns = self.0.columns.iter();
        columns.map(|column| ColumnObject { name: column.name.clone(), kind: column.kind.into() }).collect()
    }

    /// How many rows it has.
    async fn row_count(&self) -> Count {
        Count(self.0.rows)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Its rows in the order in which they were imported. A page ends early, with hasNextPage, when its cells have 4 MiB; it
    /// has one row at least.
    #[graphql(complexity = "paging::complexity(first, child_complexity)")]
    async fn rows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many: 50 where it is not given, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Behind this cursor: the number of a row.")] after: Option<String>,
    ) -> Result<RowConnection> {
        let services = ctx.data_unchecked::<Services>();
        let turn = ctx.data_unchecked::<Budget>().rows.turn().await?;
        let (connection, bytes) = rows(services, &self.0, &Asked { first, after, ..Asked::default() }).await?;
        turn.used(bytes);
        Ok(connection)
    }
}

/// Counts the datasets, when asked to.
pub struct DatasetTotal;

#[Object]
impl DatasetTotal {
    /// How many datasets there are.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        let services = ctx.data_unchecked::<Services>();
        services.datasets.count().await.map(Count).map_err(error::from_datasets)
    }
}

/// How many rows the dataset has.
#[derive(SimpleObject)]
pub struct RowTotal {
    /// How many rows the dataset has.
    total_count: Count,
}

/// What changes datasets.
#[derive(Default)]
pub struct DatasetMutation;

#[Object]
impl DatasetMutation {
    /// Deletes a dataset. False where there is none. Exports of it that run go on with what they began to read; while an
    /// import fills it, the answer is CONFLICT.
    async fn drop_dataset(&self, ctx: &Context<'_>, #[graphql(desc = "Its name.")] name: String) -> Result<bool> {
        let services = ctx.data_unchecked::<Services>();
        let name: DatasetName =
            name.parse().map_err(|error: datasets::InvalidName| error::bad_input("name", error.to_string()))?;
        if let Some(holder) = services.store.holder(&import::unique_key(&name)).await.map_err(error::from_store)? {
            return Err(error::conflict(holder.id));
        }
        services.datasets.drop_dataset(&name).await.map_err(error::from_datasets)
    }
}

/// A part of the list of datasets.
pub async fn list(services: &Services, asked: &Asked) -> Result<DatasetConnection> {
    let (limit, from_end) = asked.limit()?;
    for (field, cursor) in [("after", &asked.after), ("before", &asked.before)] {
        BadInput::check_text(field, cursor.as_deref(), usize::MAX).map_err(error::from_input)?;
    }
    let found = services.datasets.list(asked.after.as_deref(), asked.before.as_deref(), limit + 1, from_end);
    let mut found = found.await.map_err(error::from_datasets)?;
    let (has_previous, has_next) = asked.cut(&mut found, limit, from_end);
    let mut connection = Connection::with_additional_fields(has_previous, has_next, DatasetTotal);
    let edges = found.into_iter().map(|dataset| Edge::new(dataset.name.to_string(), DatasetObject(dataset)));
    connection.edges.extend(edges);
    Ok(connection)
}

/// A page of rows, and its size in bytes.
async fn rows(services: &Services, dataset: &Dataset, asked: &Asked) -> Result<(RowConnection, usize)> {
    let (limit, _) = asked.limit()?;
    let refuse = |_| error::bad_input("after", "after must be a cursor of this list");
    let after: u64 = asked.after.as_deref().map_or(Ok(0), str::parse).map_err(refuse)?;
    let batch = services.datasets.rows(&dataset.name, after, limit).await.map_err(error::from_datasets)?;
    let has_next = after + (batch.len() as u64) < dataset.rows;
    let total = RowTotal { total_count: Count(dataset.rows) };
    let mut connection = Connection::with_additional_fields(after > 0, has_next, total);
    let edges = batch.rows().zip(after + 1..).map(|(row, number)| {
        let cells = row.map(|cell| cell.map(str::to_owned)).collect();
        Edge::new(number.to_string(), RowObject { number: Count(number), cells })
    });
    connection.edges.extend(edges);
    Ok((connection, batch.bytes() + datasets::CELL_BYTES * batch.width() * batch.len()))
}
