//! Datasets in PostgreSQL: a real table for each, in the schema that the connection writes to.
//!
//! The table has the columns of the header, each with its type, after `pausa_row`: the row number, without gaps from 1
//! in the order of import. A CSV column named `pausa_row` becomes `pausa_row_2`. The schema `pausa_datasets` has the
//! bookkeeping and the stagings, named by their task. It also has each table that was replaced or dropped while an
//! export reads it.
//!
//! - [`schema`]: tables of the bookkeeping, names of tables and columns; [`owner`]: the task store that uses them
//! - [`fence`]: taking over a staging; [`publishing`]: publishing it
//! - [`staging`]: writing to it; [`write_slot`]: one write; [`flush`]: syncing it; [`copy`], [`encode`]: its rows;
//!   [`rejects`]: rejected rows
//! - [`listing`], [`row_query`]: datasets and their rows; [`row_search`], [`conditions`]: filtered and ordered rows; [`indexing`]: the index of row numbers; [`retired`]: tables
//!   to be dropped
//! - [`pins`], [`locked_table`]: snapshots; [`table_reader`], [`row_collector`], [`page_range`], [`copy_text`]: reading
//!   them for exports

mod conditions;
mod copy;
mod copy_text;
mod encode;
mod failure;
mod fence;
mod flush;
mod indexing;
mod listing;
mod locked_table;
mod owner;
mod page_range;
mod pins;
mod publishing;
mod rejects;
mod retired;
mod row_collector;
mod row_query;
mod row_search;
mod schema;
mod staging;
mod table_reader;
mod write_slot;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::time::timeout;

use self::flush::WalFlush;
use super::{
    ColumnFilter, Dataset, DatasetName, Datasets, Error, ImportPlan, PinHolder, RowPage, RowRequest, Selection,
    Snapshot, SnapshotReader, Staging,
};
use crate::access::Caller;
use crate::config::DatabaseSettings;
use crate::database::{Address, CALL_LIMIT, Connections, Gate, PoolSettings, SESSION, log_failure};
use crate::spawn::spawn;
use crate::task::TaskId;

/// Maximum wait of an import for a free connection. Calls of the API wait for less.
const ACQUIRE: Duration = Duration::from_secs(60);

/// Maximum time of a call of a run that takes the same time whatever the number of rows.
const RUN_LIMIT: Duration = Duration::from_secs(15);

/// Maximum time of one step of an operation that takes longer the more rows there are: a piece of a COPY, a commit.
const STEP_LIMIT: Duration = Duration::from_secs(20);

/// Settings of each connection. Pages are written to the disk soon after they change. By default they wait for the next
/// checkpoint, which then delays all commits by a third of a second. A transaction of a node that is gone ends, and its locks
/// with it.
const SETTINGS: &str = "SET backend_flush_after = '512kB'; SET idle_in_transaction_session_timeout = '60s'; ";

/// Connections to the database of the datasets.
type PgConnections = Connections<sqlx::Postgres>;

/// The datasets of one database.
pub(super) struct Postgres {
    pool: PgConnections,
    gate: Gate,
    flush: Arc<WalFlush>,
}

impl Postgres {
    /// Connects, and creates the missing tables of the bookkeeping. `beside` is the gate of the task store: it is used if the
    /// datasets are on the same server.
    pub(super) async fn connect(settings: &DatabaseSettings, beside: Option<&Gate>) -> Result<Self, Error> {
        let address = Address::parse(&settings.url).map_err(|error| Error::Failed(error.to_string()))?;
        let gate = match beside {
            Some(gate) => gate.beside(&address).await,
            None => Gate::open(address.clone()).await,
        };
        let gate = gate.map_err(Error::Failed)?;
        let pool = |connections| {
            let prepare = format!("{SETTINGS}{SESSION}");
            Connections::postgres(&gate, &address, PoolSettings { connections, patience: ACQUIRE, prepare })
        };
        let (pool, flush) = (pool(settings.connections), Arc::new(WalFlush::new(pool(1))));
        gate.within(RUN_LIMIT, schema::create(&pool).boxed()).await?;
        indexing::index_soon(&pool);
        retired::sweep_soon(&pool);
        Ok(Self { pool, gate, flush })
    }

    /// Runs a call for at most `limit`. If its connection failed, waits for the verdict of the gate.
    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let outcome = self.gate.within(limit, call.boxed()).await;
        self.judged(outcome).await
    }

    async fn judged<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        let Err(Error::Unavailable(text)) = outcome else { return outcome };
        match self.gate.problem_after_failure().await {
            Some(outage) => Err(Error::Outage(outage.to_string())),
            None => Err(Error::Unavailable(text)),
        }
    }
}

/// Waits for one step of a long operation. Fails if it takes too long; then its connection must be closed.
async fn in_time<T, E>(step: impl Future<Output = Result<T, E>>) -> Result<T, Error>
where
    Error: From<E>,
{
    match timeout(STEP_LIMIT, Box::pin(step)).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Error::Unavailable(format!("the database gave no answer within {STEP_LIMIT:?}"))),
    }
}

/// Runs `work` as a background task. If it fails, `problem` is logged; a later call does the work.
fn soon(pool: &PgConnections, problem: &'static str, work: impl Future<Output = Result<(), Error>> + Send + 'static) {
    let pool = pool.clone();
    spawn(async move {
        if let Err(error) = pool.until_outage(work.boxed()).await {
            log_failure!(error, %error, "{problem}");
        }
    });
}

#[async_trait]
impl Datasets for Postgres {
    fn connections(&self) -> Option<(u32, usize, u32)> {
        Some(self.pool.counts())
    }

    async fn assign(&self, store: &str) -> Result<(), Error> {
        let server = self.gate.address().to_string();
        self.within(RUN_LIMIT, owner::assign(&self.pool, store, &server)).await
    }

    async fn get(&self, _: &Caller, name: &DatasetName) -> Result<Option<Dataset>, Error> {
        self.within(CALL_LIMIT, listing::get(&self.pool, name)).await
    }

    async fn list(
        &self,
        _: &Caller,
        after: Option<&str>,
        before: Option<&str>,
        limit: u32,
        from_end: bool,
    ) -> Result<Vec<Dataset>, Error> {
        self.within(CALL_LIMIT, listing::list(&self.pool, (after, before), limit, from_end)).await
    }

    async fn count(&self, _: &Caller) -> Result<u64, Error> {
        self.within(CALL_LIMIT, listing::count(&self.pool)).await
    }

    async fn importers(&self, _: &Caller, name: &DatasetName, limit: u32) -> Result<Vec<TaskId>, Error> {
        self.within(CALL_LIMIT, listing::importers(&self.pool, name, limit)).await
    }

    async fn sizes(&self, _: &Caller, names: &[DatasetName]) -> Result<HashMap<DatasetName, u64>, Error> {
        self.within(CALL_LIMIT, listing::sizes(&self.pool, names)).await
    }

    async fn rows(&self, _: &Caller, name: &DatasetName, request: &RowRequest) -> Result<RowPage, Error> {
        let (mut locked, dataset) =
            self.within(CALL_LIMIT, locked_table::LockedTable::dataset(&self.pool, name)).await?;
        let reading = async {
            let source = row_query::RowQuery::new(locked.table.clone(), &dataset.columns);
            let (page, all) = if request.is_by_number() {
                let range = row_query::RowQueryRange {
                    after: request.after.unwrap_or(0),
                    last: dataset.rows,
                    limit: request.limit,
                };
                let (batch, all) = row_query::read_batch(&mut locked, &source, range).await?;
                (RowPage::consecutive(batch, range.after, dataset.rows), all)
            } else {
                let search = request.check(&dataset.columns, dataset.rows)?;
                let search = row_search::TableSearch::new(&source, &dataset.columns, &search);
                search.page(&mut locked, dataset.rows).await?
            };
            if all {
                locked.commit().await?;
            }
            Ok(page)
        };
        // A page has up to 4 MB. A lock may not be waited for as long.
        self.within(RUN_LIMIT, reading).await
    }

    async fn count_rows(&self, _: &Caller, name: &DatasetName, filters: &[ColumnFilter]) -> Result<u64, Error> {
        let (mut locked, dataset) =
            self.within(CALL_LIMIT, locked_table::LockedTable::dataset(&self.pool, name)).await?;
        let counting = async {
            let source = row_query::RowQuery::new(locked.table.clone(), &dataset.columns);
            let request = RowRequest { filters: filters.to_vec(), ..RowRequest::default() };
            let search = request.check(&dataset.columns, dataset.rows)?;
            let search = row_search::TableSearch::new(&source, &dataset.columns, &search);
            let count = search.count(&mut locked, dataset.rows).await?;
            locked.commit().await?;
            Ok(count)
        };
        self.within(RUN_LIMIT, counting).await
    }

    async fn drop_dataset(&self, _: &Caller, name: &DatasetName) -> Result<bool, Error> {
        self.within(CALL_LIMIT, publishing::drop_dataset(&self.pool, name)).await
    }

    async fn stage(&self, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Box<dyn Staging>, Error> {
        self.within(RUN_LIMIT, staging::stage(&self.pool, &self.flush, task, epoch, plan)).await
    }

    async fn staged_cursor(&self, task: TaskId, epoch: i64) -> Result<Option<String>, Error> {
        let taking_over = async {
            let Some((transaction, row)) = fence::take_over(&self.pool, task, epoch).await? else {
                return Ok(None);
            };
            transaction.commit().await?;
            Ok(row.cursor)
        };
        self.within(RUN_LIMIT, taking_over).await
    }

    async fn publish(&self, task: TaskId, epoch: i64, now: jiff::Timestamp) -> Result<u64, Error> {
        let outcome = self.gate.until_outage(publishing::publish(&self.pool, task, epoch, now).boxed()).await;
        self.judged(outcome).await
    }

    async fn rejects(&self, task: TaskId, from: u64) -> Result<Option<(Vec<u8>, u64)>, Error> {
        self.within(RUN_LIMIT, rejects::next(&self.pool, task, from)).await
    }

    async fn discard(&self, task: TaskId, epoch: i64) -> Result<bool, Error> {
        self.within(RUN_LIMIT, staging::discard(&self.pool, task, epoch)).await
    }

    async fn purge_import(&self, task: TaskId) -> Result<(), Error> {
        self.within(RUN_LIMIT, publishing::purge_import(&self.pool, task)).await
    }

    async fn pin(&self, _: &Caller, holder: PinHolder, name: &DatasetName) -> Result<Snapshot, Error> {
        self.within(RUN_LIMIT, pins::pin(&self.pool, holder, name)).await
    }

    async fn renew(&self, holder: PinHolder) -> Result<(), Error> {
        self.within(RUN_LIMIT, pins::renew(&self.pool, holder)).await
    }

    fn reader(&self, snapshot: &Snapshot, selection: &Selection) -> Arc<dyn SnapshotReader> {
        Arc::new(table_reader::TableReader::new(&self.pool, snapshot, selection))
    }

    async fn unpin(&self, holder: PinHolder) -> Result<(), Error> {
        self.within(RUN_LIMIT, pins::unpin(&self.pool, holder)).await
    }
}
