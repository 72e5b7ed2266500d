//! The task store. [`Store`] has the verbs; `sql` has every statement; `sqlite` and `postgres` have what differs.
//!
//! Each verb reads a task in a transaction, changes it by the functions of [`crate::task`], and writes it back over the version
//! that it read. A write of a run carries a [`FenceToken`]; it changes nothing if the token is outdated.

mod backlog;
mod backlog_limit;
mod batch;
mod change;
mod changes;
mod claimant;
pub mod columns;
mod conditions;
mod controls;
mod dialect;
mod ends;
mod error;
mod facts;
mod filter;
mod group_commit;
mod lines;
mod list;
mod list_sql;
mod migrate;
mod node_list;
mod nodes;
mod notice_maker;
mod notices;
mod postgres;
mod purges;
mod queue;
mod retention;
mod row;
mod short;
mod sql;
mod sqlite;
mod starts;
mod tallies;
mod upload_list;
mod uploads;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection};
use tokio::sync::Semaphore;

pub use backlog::Backlog;
pub use batch::RefusedBatch;
pub use claimant::Claimant;
pub use ends::LastReport;
pub use error::Error;
pub use filter::{Filter, ListCursor, ListOrder, Page, SearchText, TimeRange};
pub use list::{LIST_BYTES, Total};
pub use node_list::ListedNode;
pub use nodes::{NodeProfile, NodeStatus, OtherNodes};
pub use notice_maker::NoticeFn;
pub use queue::QueuePlace;
pub use short::{ClaimDecision, DueWindow};
pub use starts::Started;
pub use tallies::Tally;
pub use upload_list::{UploadPage, UploadPlace, UploadRemoval};
pub use uploads::Upload;
pub use write::Durability;

use crate::access::Caller;
use crate::clock::Clock;
use crate::config::DatabaseSettings;
use crate::database::{CALL_LIMIT, Connections, Gate};
use crate::metrics::Calls;
use crate::spawn::spawn;
use crate::task::{StateChange, Task, TaskChange, TaskId};
use backlog_limit::BacklogLimit;
use change::{ChangeFn, Select};
use dialect::{AnyQuery, SqlDialect};
use ends::RunEnd;
use group_commit::GroupCommit;
use sql::Sql;
use starts::{BATCHES, NewRow};
use write::{Committed, Write, WriteFn};

/// Called with each change that this process made, after its commit.
pub type OnChange = Arc<dyn Fn(&TaskChange) + Send + Sync>;

/// Called if other nodes may not know of changes: after a write that failed, and that may have been committed all the same, and after the
/// death of another node. The argument is the time since the write began, or since the last heartbeat of that node.
pub type OnUncertain = Arc<dyn Fn(Duration) + Send + Sync>;

/// The task store. Clones share one set of connections.
#[derive(Clone)]
pub struct Store {
    pool: Connections<Any>,
    /// SQLite's single writer. None on PostgreSQL.
    writer: Option<sqlite::Writer>,
    sql: Arc<Sql>,
    on_change: OnChange,
    on_uncertain: OnUncertain,
    backlog_limit: Arc<BacklogLimit>,
    calls: Calls,
    starts: GroupCommit<NewRow, Result<Started, Error>>,
    batches: Arc<Semaphore>,
    ends: GroupCommit<RunEnd, Result<Arc<Task>, Error>>,
}

/// Default of the setting `store_connections`.
const CONNECTIONS: u32 = 16;

/// Number of changes that are announced before other tokio tasks may run.
const ANNOUNCED_AT_ONCE: usize = 64;

/// Identifies a claim of a task. Each write of a run carries the token of its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceToken {
    /// ID of the task.
    pub id: TaskId,
    /// Epoch of the claim.
    pub epoch: i64,
}

impl FenceToken {
    /// Returns the token of the claim that `task` has.
    pub fn of(task: &Task) -> FenceToken {
        FenceToken { id: task.id, epoch: task.epoch }
    }
}

impl Store {
    /// Connects to `url` (`sqlite:PATH` or `postgres://…`) with the default number of connections.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn connect(url: &str, on_change: OnChange) -> Result<Store, Error> {
        Store::open(&DatabaseSettings { url: url.to_owned(), connections: CONNECTIONS }, true, on_change).await
    }

    /// Connects to a database and migrates its tables. `notifies`: PostgreSQL sends the events to other nodes.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the database cannot be reached, [`Error::Failed`] for an unknown scheme or a failed migration.
    pub async fn open(settings: &DatabaseSettings, notifies: bool, on_change: OnChange) -> Result<Store, Error> {
        sqlx::any::install_default_drivers();
        let url = &settings.url;
        let (pool, dialect) = match url.split(':').next() {
            Some("sqlite") => (Connections::of_file(sqlite::open(url).await?), SqlDialect::Sqlite),
            Some("postgres" | "postgresql") => (postgres::open(settings).await?, SqlDialect::Postgres),
            _ => return Err(Error::Failed("the URL must begin with sqlite: or postgres://".to_owned())),
        };
        migrate::run(pool.pool(), dialect).await?;
        let sql = Arc::new(Sql::new(dialect, notifies));
        let writer = match dialect {
            SqlDialect::Sqlite => Some(sqlite::Writer::start(url, Arc::clone(&sql)).await?),
            SqlDialect::Postgres => None,
        };
        Ok(Store {
            pool,
            writer,
            sql,
            on_change,
            on_uncertain: Arc::new(|_| {}),
            backlog_limit: Arc::new(BacklogLimit::new(dialect)),
            calls: Calls::default(),
            starts: GroupCommit::default(),
            batches: Arc::new(Semaphore::new(BATCHES)),
            ends: GroupCommit::default(),
        })
    }

    /// Returns the store with its calls counted in `calls`.
    pub fn measured(self, calls: Calls) -> Store {
        Store { calls, ..self }
    }

    /// Returns the store, which calls `on_uncertain` after each write whose outcome it does not know.
    pub fn reporting_uncertain(self, on_uncertain: OnUncertain) -> Store {
        Store { on_uncertain, ..self }
    }

    /// Returns the numbers of open connections, of idle ones among them, and of allowed ones.
    pub fn connections(&self) -> (u32, usize, u32) {
        self.pool.counts()
    }

    /// Returns the file of a SQLite store, which only one process may serve. None for other URLs.
    pub fn file(url: &str) -> Option<PathBuf> {
        sqlite::path(url)
    }

    /// Returns the newest version of a SQLite store's tables that this program knows.
    pub fn newest_schema() -> i64 {
        migrate::newest()
    }

    /// Returns true if only this process can write to the store. All other listed nodes have ended then.
    pub fn is_single_process(&self) -> bool {
        self.sql.dialect == SqlDialect::Sqlite
    }

    /// Returns the ID under which this process sends its events to other nodes. None if the store is exclusive.
    pub fn event_source(&self) -> Option<&str> {
        (!self.is_single_process()).then_some(&self.sql.source)
    }

    /// Returns the task, or None if it does not exist.
    #[tracing::instrument(target = "otlp.store", name = "store.get", skip_all, fields(%caller))]
    pub async fn get(&self, caller: &Caller, id: TaskId) -> Result<Option<Arc<Task>>, Error> {
        let row = self.read(sqlx::query(self.sql.get.clone()).bind(id.to_string()).fetch_optional(&self.pool)).await?;
        Ok(row.as_ref().map(row::task).transpose()?.map(Arc::new))
    }

    /// Returns the unfinished task that holds the unique key.
    #[tracing::instrument(target = "otlp.store", name = "store.conflicting_task", skip_all, fields(%caller))]
    pub async fn conflicting_task(&self, caller: &Caller, unique_key: &str) -> Result<Option<Arc<Task>>, Error> {
        let row = self
            .read(sqlx::query(self.sql.holder.clone()).bind(unique_key.to_owned()).fetch_optional(&self.pool))
            .await?;
        Ok(row.as_ref().map(row::task).transpose()?.map(Arc::new))
    }

    /// Returns the latest 500 changes of state, oldest first.
    #[tracing::instrument(target = "otlp.store", name = "store.history", skip_all, fields(%caller))]
    pub async fn history(&self, caller: &Caller, id: TaskId) -> Result<Vec<StateChange>, Error> {
        let rows = self.read(sqlx::query(sql::HISTORY).bind(id.to_string()).fetch_all(&self.pool)).await?;
        Ok(rows.iter().rev().map(row::change).collect::<sqlx::Result<_>>()?)
    }

    /// Returns what knows whether the server responds. None for a database in a file.
    pub fn gate(&self) -> Option<&Gate> {
        self.pool.gate()
    }

    /// Checks that the database answers.
    #[tracing::instrument(target = "otlp.store", name = "store.ping", skip_all)]
    pub async fn ping(&self) -> Result<(), Error> {
        self.read(sqlx::query(sql::PING).fetch_one(&self.pool)).await?;
        Ok(())
    }

    /// Returns the time of the next change that needs no request. Short tasks are not considered.
    #[tracing::instrument(target = "otlp.store", name = "store.next_due", skip_all)]
    pub async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let start = self.next(sqlx::query(self.sql.next_start.clone())).await?;
        let expiry = self.next(sqlx::query(self.sql.next_expiry.clone())).await?;
        Ok(start.into_iter().chain(expiry).min())
    }

    async fn read_one(&self, query: AnyQuery) -> Result<AnyRow, Error> {
        self.read(query.fetch_one(&self.pool)).await
    }

    async fn next(&self, query: AnyQuery) -> Result<Option<Timestamp>, Error> {
        let row = self.read_one(query).await?;
        Ok(row::moment_if(&row, "due_at")?)
    }

    /// Changes one task.
    async fn change<F>(&self, id: TaskId, durability: Durability, change: F) -> Result<Arc<Task>, Error>
    where
        F: ChangeFn + 'static,
    {
        let write = Write::transaction((id, change), change::change_one);
        self.commit(Write { durability, ..write }).await?
    }

    /// Changes each of the selected tasks, except those that refuse.
    async fn change_all<F>(&self, select: Select, change: F) -> Result<Vec<Arc<Task>>, Error>
    where
        F: ChangeFn + 'static,
    {
        self.commit(Write::transaction((select, change), change::change_all)).await
    }

    /// Writes, then announces the changes. Both happen even if the caller is dropped meanwhile.
    async fn commit<I, T, F>(&self, write: Write<I, F>) -> Result<T, Error>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> WriteFn<'c, I, Committed<T>> + 'static,
    {
        let store = self.clone();
        let committed = spawn(async move {
            let Committed { value, changes } = store.write(write).await?;
            store.announce(&changes).await;
            Ok(value)
        });
        committed.await.unwrap_or_else(|error| Err(Error::Failed(format!("a write was interrupted: {error}"))))
    }

    async fn announce(&self, changes: &[TaskChange]) {
        for (n, change) in changes.iter().enumerate() {
            if n % ANNOUNCED_AT_ONCE == ANNOUNCED_AT_ONCE - 1 {
                // Subscribers read on between the changes of a large batch.
                tokio::task::yield_now().await;
            }
            (self.on_change)(change);
        }
    }

    async fn write<I, T, F>(&self, write: Write<I, F>) -> Result<T, Error>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        F: for<'c> WriteFn<'c, I, T> + 'static,
    {
        let begin = Clock::monotonic();
        let (mut job, outcome) = write::job(write);
        match &self.writer {
            // SQLite: after the writes before it.
            Some(writer) => writer.send(job).await,
            None => {
                let outcome = postgres::write(&self.pool, &self.sql, &mut *job).await;
                job.answer(outcome);
            }
        }
        let written = outcome.await.unwrap_or_else(|_| Err(write::closed()));
        let unavailable = written.as_ref().is_err_and(Error::is_unavailable);
        self.calls.ended("write", begin, unavailable);
        if unavailable && !self.is_single_process() {
            (self.on_uncertain)(begin.elapsed());
        }
        written
    }

    /// Runs one statement that changes no task. Returns the number of changed rows.
    async fn execute<Q>(&self, query: Q) -> Result<u64, Error>
    where
        Q: Fn() -> AnyQuery + Send + Sync + 'static,
    {
        self.write(Write::transaction(query, execute)).await
    }

    async fn read<T>(&self, query: impl Future<Output = sqlx::Result<T>> + Send) -> Result<T, Error> {
        let begin = Clock::monotonic();
        let read = self.pool.within(CALL_LIMIT, query.boxed()).await.map_err(Error::from);
        self.calls.ended("read", begin, read.as_ref().is_err_and(Error::is_unavailable));
        read
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn execute<Q>(conn: &mut AnyConnection, _sql: &Sql, query: &Q) -> sqlx::Result<u64>
where
    Q: Fn() -> AnyQuery + Send + Sync,
{
    Ok(query().execute(conn).await?.rows_affected())
}
