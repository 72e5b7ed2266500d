//! Where tasks are kept: the verbs. [`sql`] has every statement, [`sqlite`] and [`postgres`] what differs.
//!
//! Each verb reads the task in a transaction, changes it by [`crate::task`]'s own functions and writes it back over
//! the version that it read. Runs carry their [`FenceToken`]; a key with an old epoch writes nothing.

mod backlog;
mod batch;
mod dialect;
mod ends;
mod error;
mod hint;
mod lines;
mod list;
mod migrate;
mod nodes;
mod op;
mod postgres;
mod purges;
mod retention;
mod room;
mod row;
mod short;
mod sql;
mod sqlite;
mod starts;
mod together;
mod uploads;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{AnyPool, SqlStr};
use tokio::sync::{Semaphore, mpsc};

pub use backlog::Backlog;
pub use batch::RefusedBatch;
pub use ends::Last;
pub use error::Error;
pub use hint::Hint;
pub use list::{Filter, LIST_BYTES, Page};
pub use op::Durability;
pub use postgres::Word;
pub use short::{Choice, Moments};
pub use uploads::Upload;

use crate::clock::Clock;
use crate::metrics::Calls;
use crate::task::{ControlRequest, IdempotencyKey, Progress, Refusal, State, StateChange, Task, TaskId, Verb};
use batch::BATCHES;
use dialect::Dialect;
use ends::Ending;
use op::Op;
use room::Room;
use sql::Sql;
use starts::New;
use together::Together;
use write::{Changed, Outcome, Select, check_fence};

/// Called with every task that this node changed, once that is on disk, and with the change of its state, if that changed.
pub type OnChange = Arc<dyn Fn(&Arc<Task>, Option<&StateChange>) + Send + Sync>;

/// The task store. Clones share one set of connections.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    writer: Writer,
    sql: Arc<Sql>,
    on_change: OnChange,
    room: Arc<Room>,
    calls: Calls,
    creates: Together<New, Result<Started, Error>>,
    batches: Arc<Semaphore>,
    ends: Together<Ending, Result<Arc<Task>, Error>>,
}

#[derive(Clone)]
enum Writer {
    Sqlite(sqlite::Writer),
    /// The URL, for listening.
    Postgres(Arc<str>),
}

/// Changes that are told without a pause.
const TOLD_AT_ONCE: usize = 64;

/// What a run carries into each of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceToken {
    /// The task.
    pub id: TaskId,
    /// The claim under which it runs.
    pub epoch: i64,
}

impl FenceToken {
    /// That of the run which has `task`.
    pub fn of(task: &Task) -> FenceToken {
        FenceToken { id: task.id, epoch: task.epoch }
    }
}

/// What a start gave.
#[derive(Clone, Debug)]
pub enum Started {
    /// A new task.
    New(Arc<Task>),
    /// The task that an earlier start with the same key made.
    Same(Arc<Task>),
}

impl Started {
    /// The task, new or not.
    pub fn task(&self) -> &Arc<Task> {
        match self {
            Started::New(task) | Started::Same(task) => task,
        }
    }

    /// The same, by value.
    pub fn into_task(self) -> Arc<Task> {
        match self {
            Started::New(task) | Started::Same(task) => task,
        }
    }
}

impl Store {
    /// Connects to `url` (`sqlite:PATH` or `postgres://…`) and brings its tables up to date.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it cannot be reached, [`Error::Failed`] for an unknown scheme or a failed migration.
    pub async fn connect(url: &str, on_change: OnChange) -> Result<Store, Error> {
        sqlx::any::install_default_drivers();
        let (pool, dialect) = match url.split(':').next() {
            Some("sqlite") => (sqlite::open(url).await?, Dialect::Sqlite),
            Some("postgres" | "postgresql") => (postgres::open(url).await?, Dialect::Postgres),
            _ => return Err(Error::Failed("its URL must begin with sqlite: or postgres://".to_owned())),
        };
        migrate::run(&pool, dialect).await?;
        let writer = match dialect {
            Dialect::Sqlite => Writer::Sqlite(sqlite::Writer::start(url).await?),
            Dialect::Postgres => Writer::Postgres(url.into()),
        };
        let (sql, room) = (Arc::new(Sql::new(dialect)), Arc::new(Room::new(dialect)));
        let (creates, ends, batches) = (Together::default(), Together::default(), Arc::new(Semaphore::new(BATCHES)));
        let calls = Calls::default();
        Ok(Store { pool, writer, sql, on_change, room, calls, creates, batches, ends })
    }

    /// The same store; its calls are counted there.
    pub fn measured(self, calls: Calls) -> Store {
        Store { calls, ..self }
    }

    /// Open connections of the pool, those of them that are idle, and the most that there may be.
    pub fn connections(&self) -> (u32, usize, u32) {
        (self.pool.size(), self.pool.num_idle(), self.pool.options().get_max_connections())
    }

    /// The file that holds the store, where it is one: only one process may serve it.
    pub fn file(url: &str) -> Option<PathBuf> {
        sqlite::path(url)
    }

    /// The newest schema that a SQLite store may have: a later version made any other.
    pub fn newest_schema() -> i64 {
        migrate::newest()
    }

    /// Only this process can write here, so whatever other nodes are listed are dead.
    pub fn is_exclusive(&self) -> bool {
        self.sql.dialect == Dialect::Sqlite
    }

    /// Changes that other nodes make, where several share the store; none where this is the only one.
    pub async fn changes(&self) -> Result<Option<mpsc::Receiver<Word>>, Error> {
        match &self.writer {
            Writer::Sqlite(_) => Ok(None),
            Writer::Postgres(url) => postgres::listen(url, self.sql.source.clone()).await.map(Some),
        }
    }

    /// The task of that id.
    #[tracing::instrument(target = "otlp.store", name = "store.get", skip_all)]
    pub async fn get(&self, id: TaskId) -> Result<Option<Arc<Task>>, Error> {
        let row = self.read(sqlx::query(self.sql.get.clone()).bind(id.to_string()).fetch_optional(&self.pool)).await?;
        Ok(row.as_ref().map(row::task).transpose()?.map(Arc::new))
    }

    /// The task that an earlier start of this kind with this key and input made.
    ///
    /// # Errors
    /// [`Error::KeyReused`] if the key belongs to another kind or input.
    #[tracing::instrument(target = "otlp.store", name = "store.repeated", skip_all)]
    pub async fn repeated(&self, kind: &str, key: &IdempotencyKey) -> Result<Option<Arc<Task>>, Error> {
        let row =
            self.read(sqlx::query(self.sql.by_key.clone()).bind(key.text.clone()).fetch_optional(&self.pool)).await?;
        let earlier = row.as_ref().map(row::task).transpose()?.map(Arc::new);
        earlier.map(|earlier| starts::repeated(kind, key, &earlier)).transpose()
    }

    /// The unfinished task that holds `what`.
    #[tracing::instrument(target = "otlp.store", name = "store.holder", skip_all)]
    pub async fn holder(&self, what: &str) -> Result<Option<Arc<Task>>, Error> {
        let row =
            self.read(sqlx::query(self.sql.holder.clone()).bind(what.to_owned()).fetch_optional(&self.pool)).await?;
        Ok(row.as_ref().map(row::task).transpose()?.map(Arc::new))
    }

    /// The newest 500 changes of state, oldest first.
    #[tracing::instrument(target = "otlp.store", name = "store.history", skip_all)]
    pub async fn history(&self, id: TaskId) -> Result<Vec<StateChange>, Error> {
        let rows = self.read(sqlx::query(sql::HISTORY).bind(id.to_string()).fetch_all(&self.pool)).await?;
        Ok(rows.iter().rev().map(row::change).collect::<sqlx::Result<_>>()?)
    }

    /// What a client asks of a task.
    #[tracing::instrument(target = "otlp.store", name = "store.ask", skip_all)]
    pub async fn ask(&self, id: TaskId, verb: Verb, ask: ControlRequest) -> Result<Arc<Task>, Error> {
        self.change(id, move |task| task.ask(verb, &ask)).await
    }

    /// Asks a task that runs to pause, and tells its run at once: what the run says as it stops takes that to the disk too.
    /// Who does not wait for it calls [`Store::keep`]. None where the task does not run, and nothing is changed.
    #[tracing::instrument(target = "otlp.store", name = "store.pause_running", skip_all)]
    pub async fn pause_running(&self, id: TaskId, ask: ControlRequest) -> Result<Option<Arc<Task>>, Error> {
        let pause = move |task: &mut Task| match task.state {
            State::Running | State::Pausing => task.ask(Verb::Pause, &ask),
            _ => Ok(None),
        };
        let task = self.change_durably(id, Durability::Deferred, pause).await?;
        Ok(Some(task).filter(|task| task.state == State::Pausing))
    }

    /// Takes to the disk what was told of the task, by a new version of it.
    #[tracing::instrument(target = "otlp.store", name = "store.keep", skip_all)]
    pub async fn keep(&self, id: TaskId) -> Result<(), Error> {
        let sql = Arc::clone(&self.sql);
        let op: Op<Option<Arc<Task>>> = Op::transaction(move |conn| {
            let sql = Arc::clone(&sql);
            Box::pin(async move { write::keep(conn, &sql, id).await })
        });
        self.write_and_tell(op, |kept| kept.iter().map(|task| (Arc::clone(task), None)).collect()).await.map(drop)
    }

    /// A run reports what is committed.
    #[tracing::instrument(target = "otlp.store", name = "store.report", skip_all)]
    pub async fn report(
        &self,
        key: FenceToken,
        cursor: Option<String>,
        progress: Progress,
        durable: Durability,
    ) -> Result<Arc<Task>, Error> {
        self.change_durably(key.id, durable, move |task| {
            check_fence(task, key)?;
            task.report(cursor.clone(), progress.clone());
            Ok(None)
        })
        .await
    }

    /// The store answers.
    #[tracing::instrument(target = "otlp.store", name = "store.ping", skip_all)]
    pub async fn ping(&self) -> Result<(), Error> {
        self.read(sqlx::query(sql::PING).fetch_one(&self.pool)).await?;
        Ok(())
    }

    /// The next moment at which something happens by itself, but for short tasks.
    #[tracing::instrument(target = "otlp.store", name = "store.next_due", skip_all)]
    pub async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        let (start, expiry) = (self.next(&self.sql.next_start).await?, self.next(&self.sql.next_expiry).await?);
        Ok(start.into_iter().chain(expiry).min())
    }

    async fn next(&self, statement: &SqlStr) -> Result<Option<Timestamp>, Error> {
        let row = self.read(sqlx::query(statement.clone()).fetch_one(&self.pool)).await?;
        Ok(row::moment_if(&row, "due_at")?)
    }

    /// Changes one task by `f`, which may be called again.
    async fn change<F>(&self, id: TaskId, f: F) -> Result<Arc<Task>, Error>
    where
        F: Fn(&mut Task) -> Result<Option<StateChange>, Refusal> + Send + Sync + 'static,
    {
        self.change_durably(id, Durability::Immediate, f).await
    }

    async fn change_durably<F>(&self, id: TaskId, durable: Durability, f: F) -> Result<Arc<Task>, Error>
    where
        F: Fn(&mut Task) -> Result<Option<StateChange>, Refusal> + Send + Sync + 'static,
    {
        let (sql, f) = (Arc::clone(&self.sql), Arc::new(f));
        let op: Op<Outcome> = Op::transaction(move |conn| {
            let (sql, f) = (Arc::clone(&sql), Arc::clone(&f));
            Box::pin(async move { write::change(conn, &sql, id, &*f).await })
        });
        let op = op.durable(durable);
        let changed = self.write_and_tell(op, |outcome| match outcome {
            Ok((_, written)) => written.iter().cloned().collect(),
            Err(_) => Vec::new(),
        });
        Ok(changed.await??.0)
    }

    /// Changes each of the tasks that `select` finds by `f`, leaving those that refuse.
    async fn change_all<F>(&self, select: Select, f: F) -> Result<Vec<Arc<Task>>, Error>
    where
        F: Fn(&mut Task) -> Result<Option<StateChange>, Refusal> + Send + Sync + 'static,
    {
        let (sql, f, select) = (Arc::clone(&self.sql), Arc::new(f), Arc::new(select));
        let op: Op<Vec<Changed>> = Op::transaction(move |conn| {
            let (sql, f, select) = (Arc::clone(&sql), Arc::clone(&f), Arc::clone(&select));
            Box::pin(async move { write::change_all(conn, &sql, &select, &*f).await })
        });
        let changed = self.write_and_tell(op, Vec::clone).await?;
        Ok(changed.into_iter().map(|(task, _)| task).collect())
    }

    /// Writes, then tells of it; both are done even where the caller goes away meanwhile.
    async fn write_and_tell<T, F>(&self, op: Op<T>, changed: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&T) -> Vec<Changed> + Send + 'static,
    {
        let store = self.clone();
        let told = tokio::spawn(async move {
            let value = store.write(op).await?;
            for (n, (task, change)) in changed(&value).iter().enumerate() {
                // Subscribers read on between the changes of a large batch.
                if n % TOLD_AT_ONCE == TOLD_AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
                (store.on_change)(task, change.as_ref());
            }
            Ok(value)
        });
        told.await.unwrap_or_else(|error| Err(Error::Failed(format!("a write broke off: {error}"))))
    }

    async fn write<T: Send + 'static>(&self, op: Op<T>) -> Result<T, Error> {
        let begin = Clock::monotonic();
        let written = match &self.writer {
            // Its writes share transactions.
            Writer::Sqlite(writer) => writer.write(op).await,
            Writer::Postgres(_) => postgres::write(&self.pool, &op).await,
        };
        self.calls.ended("write", begin, written.as_ref().is_err_and(Error::is_unavailable));
        written
    }

    async fn read<T>(&self, query: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
        let begin = Clock::monotonic();
        let read = query.await.map_err(Error::from);
        self.calls.ended("read", begin, read.as_ref().is_err_and(Error::is_unavailable));
        read
    }

    /// Gives every connection back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
