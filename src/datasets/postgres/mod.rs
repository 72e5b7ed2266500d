//! Datasets in PostgreSQL: a real table for each, in the schema that the connection writes to.
//!
//! The table has the columns of the header, each with its type, after `pausa_row`: the row number, without gaps from 1
//! in the order of import. A CSV column named `pausa_row` becomes `pausa_row_2`. The schema `pausa_datasets` has the
//! bookkeeping and the stagings, named by their task. It also has each table that was replaced or dropped while an
//! export reads it.
//!
//! - [`schema`]: tables of the bookkeeping, names of tables and columns
//! - [`fence`]: taking over a staging; [`publishing`]: publishing it
//! - [`staging`]: writing to it; [`write_slot`]: one write; [`flush`]: syncing it; [`copy`], [`encode`]: its rows;
//!   [`rejects`]: rejected rows
//! - [`listing`], [`row_query`]: datasets and their rows; [`indexing`]: the index of row numbers; [`retired`]: tables
//!   to be dropped
//! - [`pins`], [`locked_table`]: snapshots; [`table_reader`], [`row_collector`], [`page_range`], [`copy_text`]: reading
//!   them for exports

mod copy;
mod copy_text;
mod encode;
mod failure;
mod fence;
mod flush;
mod indexing;
mod listing;
mod locked_table;
mod page_range;
mod pins;
mod publishing;
mod rejects;
mod retired;
mod row_collector;
mod row_query;
mod schema;
mod staging;
mod table_reader;
mod write_slot;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryFutureExt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};

use self::flush::WalFlush;
use super::{
    Batch, Dataset, DatasetName, Datasets, Error, ImportPlan, PinHolder, Selection, Snapshot, SnapshotReader, Staging,
};
use crate::access::Caller;
use crate::task::TaskId;

/// Maximum number of connections. A staging uses one only during a write, so a few serve many imports.
const MAX_CONNECTIONS: u32 = 8;

/// Maximum wait for a free connection. Then the database counts as unavailable.
const ACQUIRE: Duration = Duration::from_secs(10);

/// Writes pages to the disk soon after they change. By default they wait for the next checkpoint, which then delays all
/// commits by a third of a second.
const SETTING: &str = "SET backend_flush_after = '512kB'";

/// The datasets of one database.
pub(super) struct Postgres {
    pool: PgPool,
    flush: Arc<WalFlush>,
}

impl Postgres {
    /// Connects, and creates the missing tables of the bookkeeping.
    pub(super) async fn connect(url: &str) -> Result<Self, Error> {
        let options = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(ACQUIRE);
        let options = options.after_connect(|connection, _| Box::pin(connection.execute(SETTING).map_ok(drop)));
        let address: PgConnectOptions = url.parse()?;
        let pool = options.connect_with(address.clone()).await?;
        schema::create(&pool).await?;
        indexing::index_soon(&pool);
        retired::sweep_soon(&pool);
        Ok(Self { pool, flush: Arc::new(WalFlush::new(address)) })
    }
}

/// Runs `work` as a background task. If it fails, `problem` is logged; a later call does the work.
fn soon(problem: &'static str, work: impl Future<Output = Result<(), Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = work.await {
            tracing::warn!(%error, "{problem}");
        }
    });
}

#[async_trait]
impl Datasets for Postgres {
    fn connections(&self) -> Option<(u32, usize, u32)> {
        Some((self.pool.size(), self.pool.num_idle(), MAX_CONNECTIONS))
    }

    async fn get(&self, _: &Caller, name: &DatasetName) -> Result<Option<Dataset>, Error> {
        listing::get(&self.pool, name).await
    }

    async fn list(
        &self,
        _: &Caller,
        after: Option<&str>,
        before: Option<&str>,
        limit: u32,
        from_end: bool,
    ) -> Result<Vec<Dataset>, Error> {
        listing::list(&self.pool, (after, before), limit, from_end).await
    }

    async fn count(&self, _: &Caller) -> Result<u64, Error> {
        listing::count(&self.pool).await
    }

    async fn rows(&self, _: &Caller, name: &DatasetName, after: u64, limit: u32) -> Result<Batch, Error> {
        let (mut locked, dataset) = locked_table::LockedTable::dataset(&self.pool, name).await?;
        let source = row_query::RowQuery::new(locked.table.clone(), &dataset.columns);
        let range = row_query::RowQueryRange { after, last: dataset.rows, limit };
        let (batch, all) = row_query::read(&mut locked, &source, range).await?;
        if all {
            locked.commit().await?;
        }
        Ok(batch)
    }

    async fn drop_dataset(&self, _: &Caller, name: &DatasetName) -> Result<bool, Error> {
        publishing::drop_dataset(&self.pool, name).await
    }

    async fn stage(&self, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Box<dyn Staging>, Error> {
        staging::stage(&self.pool, &self.flush, task, epoch, plan).await
    }

    async fn staged_cursor(&self, task: TaskId, epoch: i64) -> Result<Option<String>, Error> {
        let Some((transaction, held)) = fence::take_over(&self.pool, task, epoch).await? else {
            return Ok(None);
        };
        transaction.commit().await?;
        Ok(held.cursor)
    }

    async fn publish(&self, task: TaskId, epoch: i64, now: jiff::Timestamp) -> Result<u64, Error> {
        publishing::publish(&self.pool, task, epoch, now).await
    }

    async fn rejects(&self, task: TaskId, from: u64) -> Result<Option<(Vec<u8>, u64)>, Error> {
        rejects::next(&self.pool, task, from).await
    }

    async fn discard(&self, task: TaskId, epoch: i64) -> Result<(), Error> {
        staging::discard(&self.pool, task, epoch).await
    }

    async fn purge_import(&self, task: TaskId) -> Result<(), Error> {
        publishing::purge_import(&self.pool, task).await
    }

    async fn pin(&self, _: &Caller, holder: PinHolder, name: &DatasetName) -> Result<Snapshot, Error> {
        pins::pin(&self.pool, holder, name).await
    }

    async fn renew(&self, holder: PinHolder) -> Result<(), Error> {
        pins::renew(&self.pool, holder).await
    }

    fn reader(&self, snapshot: &Snapshot, selection: &Selection) -> Arc<dyn SnapshotReader> {
        Arc::new(table_reader::TableReader::new(&self.pool, snapshot, selection))
    }

    async fn unpin(&self, holder: PinHolder) -> Result<(), Error> {
        pins::unpin(&self.pool, holder).await
    }
}
