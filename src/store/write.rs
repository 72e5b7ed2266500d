//! Writes, as both databases run them.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::AnyConnection;
use tokio::sync::oneshot;

use super::Error;
use super::sql::Sql;
use crate::task::{Task, TaskChange};

/// A function that writes: `async fn(&mut AnyConnection, &Sql, &Input) -> sqlx::Result<T>`.
///
/// It may run again after a conflict, so each run must do the same.
pub trait WriteFn<'c, I: 'c, T>: Fn(&'c mut AnyConnection, &'c Sql, &'c I) -> Self::Future + Send + Sync {
    /// Future of one run.
    type Future: Future<Output = sqlx::Result<T>> + Send + 'c;
}

impl<'c, I, T, F, R> WriteFn<'c, I, T> for F
where
    I: 'c,
    F: Fn(&'c mut AnyConnection, &'c Sql, &'c I) -> R + Send + Sync,
    R: Future<Output = sqlx::Result<T>> + Send + 'c,
{
    type Future = R;
}

/// A write with its input.
pub struct Write<I, F> {
    /// Input of the function.
    pub input: I,
    /// Function that writes.
    pub run: F,
    /// Way in which the write is atomic.
    pub scope: Scope,
    /// Time at which the write is on disk.
    pub durability: Durability,
}

/// Way in which a write is atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A single statement, which is atomic without a transaction.
    Statement,
    /// A transaction.
    Transaction,
}

/// Time at which a write is on disk, so that it survives a power loss. It survives the end of the process in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before the write is acknowledged.
    Immediate,
    /// With the next write. PostgreSQL, whose changes other nodes see, treats it as [`Durability::Immediate`].
    Deferred,
}

/// Outcome of a write, with the changes to be announced once it is committed.
pub struct Committed<T> {
    /// Answer to the caller.
    pub value: T,
    /// Changed tasks.
    pub changes: Vec<TaskChange>,
}

impl Committed<Vec<Arc<Task>>> {
    /// Answers with the changed tasks.
    pub fn of(changes: Vec<TaskChange>) -> Committed<Vec<Arc<Task>>> {
        let value = changes.iter().map(|change| Arc::clone(&change.task)).collect();
        Committed { value, changes }
    }
}

impl<I, F> Write<I, F> {
    /// A write in a transaction.
    pub fn transaction(input: I, run: F) -> Write<I, F> {
        Write { input, run, scope: Scope::Transaction, durability: Durability::Immediate }
    }

    /// A write by a single statement. Rows that were read before it may have changed; the statement itself checks that.
    pub fn statement(input: I, run: F) -> Write<I, F> {
        Write { scope: Scope::Statement, ..Write::transaction(input, run) }
    }
}

/// A write of any type, with the caller that waits for its outcome. So the databases need not know the type: each of their
/// functions is compiled once, and writes of many types share a queue and a transaction.
pub trait WriteJob: Send {
    /// Way in which the write is atomic.
    fn scope(&self) -> Scope;

    /// Time at which the write is on disk.
    fn durability(&self) -> Durability;

    /// Runs the write. In a transaction, the caller begins and commits it.
    fn run<'c>(&'c mut self, conn: &'c mut AnyConnection, sql: &'c Sql) -> BoxFuture<'c, sqlx::Result<()>>;

    /// Sends the outcome of the write to the caller.
    fn answer(self: Box<Self>, outcome: Result<(), Error>);
}

/// Returns the job of a write, and where its outcome arrives.
pub fn job<I, T, F>(write: Write<I, F>) -> (Box<dyn WriteJob>, oneshot::Receiver<Result<T, Error>>)
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    F: for<'c> WriteFn<'c, I, T> + 'static,
{
    let (caller, outcome) = oneshot::channel();
    (Box::new(PendingWrite { write, value: None, caller }), outcome)
}

/// The error of a write that was handed over when nothing runs writes any more.
pub fn closed() -> Error {
    Error::Unavailable("the store is shutting down".to_owned())
}

struct PendingWrite<I, T, F> {
    write: Write<I, F>,
    value: Option<T>,
    caller: oneshot::Sender<Result<T, Error>>,
}

impl<I, T, F> WriteJob for PendingWrite<I, T, F>
where
    I: Send + Sync,
    T: Send,
    F: for<'c> WriteFn<'c, I, T>,
{
    fn scope(&self) -> Scope {
        self.write.scope
    }

    fn durability(&self) -> Durability {
        self.write.durability
    }

    fn run<'c>(&'c mut self, conn: &'c mut AnyConnection, sql: &'c Sql) -> BoxFuture<'c, sqlx::Result<()>> {
        let PendingWrite { write, value, .. } = self;
        Box::pin(async move {
            *value = Some((write.run)(conn, sql, &write.input).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<(), Error>) {
        let PendingWrite { value, caller, .. } = *self;
        // The caller may have been dropped.
        let _ = caller.send(outcome.and_then(|()| value.ok_or_else(closed)));
    }
}
