//! A pool of connections to one database.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use sqlx::pool::{PoolConnectionMetadata, PoolOptions};
use sqlx::{Any, Connection, Database, Either, Error, Execute, Executor, Pool, Postgres, SqlStr};
use tokio::time::timeout;

use super::{Address, Gate, OpenTransaction, PooledConnection, refusal};

/// A connection that was idle for less time is not checked before its use.
const CHECK_AFTER: Duration = Duration::from_secs(1);

/// Maximum time of the answer of an idle connection, and of the attempt that finds out why there is no connection.
const CHECK_LIMIT: Duration = Duration::from_millis(700);

/// Settings of a pool.
pub struct PoolSettings {
    /// Maximum number of connections.
    pub connections: u32,
    /// Maximum wait for a free connection.
    pub patience: Duration,
    /// Statements that a new connection runs.
    pub prepare: String,
}

/// A pool of connections. Clones share it.
pub struct Connections<DB: Database> {
    pool: Pool<DB>,
    /// The server and the login. None for a database in a file, which cannot be lost.
    server: Option<(Gate, Address)>,
}

impl<DB: Database> Clone for Connections<DB> {
    fn clone(&self) -> Self {
        Connections { pool: self.pool.clone(), server: self.server.clone() }
    }
}

impl<DB: Database> fmt::Debug for Connections<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({:?})", self.gate())
    }
}

impl Connections<Any> {
    /// Wraps the pool of a database in a file.
    pub fn of_file(pool: Pool<Any>) -> Self {
        Connections { pool, server: None }
    }

    /// Makes a pool without connections to the server of `gate`.
    ///
    /// # Errors
    /// Never for an address that was parsed.
    pub fn any(gate: &Gate, settings: PoolSettings) -> sqlx::Result<Self> {
        let pool = pool_options::<Any>(gate, settings).connect_lazy_with(gate.address().any_options()?);
        Ok(Connections { pool, server: Some((gate.clone(), gate.address().clone())) })
    }
}

impl Connections<Postgres> {
    /// Makes a pool without connections to a database of the server of `gate`.
    pub fn postgres(gate: &Gate, address: &Address, settings: PoolSettings) -> Self {
        let pool = pool_options::<Postgres>(gate, settings).connect_lazy_with(address.options());
        Connections { pool, server: Some((gate.clone(), address.clone())) }
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> sqlx::Result<OpenTransaction> {
        OpenTransaction::begin(self.acquire().await?).await
    }
}

impl<DB: Database> Connections<DB> {
    /// Returns a connection. Waits for a free one.
    ///
    /// # Errors
    /// The server does not respond or refuses, or none is free in time.
    pub async fn acquire(&self) -> sqlx::Result<PooledConnection<DB>> {
        let Some((gate, address)) = &self.server else {
            return Ok(PooledConnection::new(self.pool.acquire().await?, false));
        };
        match gate.during(self.pool.acquire().boxed()).await {
            Ok(connection) => Ok(PooledConnection::new(connection, true)),
            Err(Error::PoolTimedOut) => Err(self.why_none(address).await),
            Err(error) => Err(error),
        }
    }

    /// Runs a call for at most `limit`. If its connection failed, waits for the verdict of the gate.
    pub async fn within<T>(&self, limit: Duration, call: BoxFuture<'_, sqlx::Result<T>>) -> sqlx::Result<T> {
        let Some(gate) = self.gate() else { return call.await };
        match gate.within(limit, call).await {
            Err(error) => Err(gate.verdict(error).await),
            answer => answer,
        }
    }

    /// Runs a call unless there is an outage. Fails when one begins.
    pub async fn during<T, E: From<Error>>(&self, call: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
        match self.gate() {
            Some(gate) => gate.during(call).await,
            None => call.await,
        }
    }

    /// Runs a call unless there is an outage. Fails when one begins. For a call whose parts have limits of their own.
    pub async fn until_outage<T, E: From<Error>>(&self, call: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
        match self.gate() {
            Some(gate) => gate.until_outage(call).await,
            None => call.await,
        }
    }

    /// Runs a long statement of the connection with that process ID, as long as the server works at it.
    pub async fn while_working<T, E: From<Error>>(
        &self,
        backend: i32,
        statement: BoxFuture<'_, Result<T, E>>,
    ) -> Result<T, E> {
        match self.gate() {
            Some(gate) => gate.while_working(backend, statement).await,
            None => statement.await,
        }
    }

    /// Returns the gate of the server. None for a database in a file.
    pub fn gate(&self) -> Option<&Gate> {
        self.server.as_ref().map(|(gate, _)| gate)
    }

    /// Returns the pool, for what has no time limit.
    pub fn pool(&self) -> &Pool<DB> {
        &self.pool
    }

    /// Returns the numbers of open connections, of idle ones among them, and of allowed ones.
    pub fn counts(&self) -> (u32, usize, u32) {
        (self.pool.size(), self.pool.num_idle(), self.pool.options().get_max_connections())
    }

    /// Closes all connections. Waits for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Returns why there was no connection in time. sqlx retries, and does not say why.
    async fn why_none(&self, address: &Address) -> Error {
        let (open, _, limit) = self.counts();
        let reason = if open >= limit {
            format!("all {limit} connections of this node are in use")
        } else {
            use sqlx::ConnectOptions;
            match timeout(CHECK_LIMIT, address.options().connect()).await {
                Ok(Ok(_)) => "no connection was free in time".to_owned(),
                Ok(Err(error)) => refusal::explain(&error, address),
                Err(_) => "no answer to a new connection".to_owned(),
            }
        };
        let text = format!("PostgreSQL at {address}: {reason}");
        Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
    }
}

fn pool_options<DB: Database>(gate: &Gate, settings: PoolSettings) -> PoolOptions<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let gate = gate.clone();
    PoolOptions::new()
        .max_connections(settings.connections)
        .acquire_timeout(settings.patience)
        .acquire_slow_threshold(Duration::MAX)
        .test_before_acquire(false)
        .before_acquire(move |connection, used| {
            let gate = gate.clone();
            Box::pin(async move { Ok(is_usable::<DB>(&gate, connection, used).await) })
        })
        .after_connect(move |connection, _| {
            let prepare = sqlx::AssertSqlSafe(settings.prepare.clone());
            Box::pin(async move { sqlx::raw_sql(prepare).execute(connection).await.map(drop) })
        })
}

/// Connections from before an outage are dropped without a check. Others are checked if they were idle for long.
async fn is_usable<DB: Database>(gate: &Gate, connection: &mut DB::Connection, used: PoolConnectionMetadata) -> bool {
    if gate.is_outdated(used.age) {
        return false;
    }
    used.idle_for < CHECK_AFTER || matches!(timeout(CHECK_LIMIT, connection.ping()).await, Ok(Ok(())))
}

/// Each statement has a connection of its own. Its rows are all read before the first is returned.
impl<'p, DB: Database> Executor<'p> for &Connections<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<DB::QueryResult, DB::Row>>>
    where
        E: 'q + Execute<'q, DB>,
    {
        let connections = self.clone();
        let answers = async move {
            let mut connection = connections.acquire().await?;
            let answers: Vec<_> = connection.fetch_many(query).try_collect().await?;
            connection.release();
            sqlx::Result::Ok(stream::iter(answers.into_iter().map(Ok)))
        };
        answers.try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<DB::Row>>>
    where
        E: 'q + Execute<'q, DB>,
    {
        let connections = self.clone();
        let answer = async move {
            let mut connection = connections.acquire().await?;
            let row = connection.fetch_optional(query).await?;
            connection.release();
            Ok(row)
        };
        answer.boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [DB::TypeInfo]) -> BoxFuture<'e, sqlx::Result<DB::Statement>>
    where
        'p: 'e,
    {
        let connections = self.clone();
        let answer = async move {
            let mut connection = connections.acquire().await?;
            let statement = connection.prepare_with(sql, parameters).await?;
            connection.release();
            Ok(statement)
        };
        answer.boxed()
    }
}
