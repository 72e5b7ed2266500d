//! Writes, as the stores run them.

use futures_util::future::BoxFuture;
use sqlx::AnyConnection;

/// A write: it may be run again, so it must do the same each time.
pub struct Op<T> {
    /// What it does.
    pub run: Run<T>,
    /// What makes that all or nothing.
    pub extent: Extent,
    /// When it is on disk.
    pub durable: Durability,
}

/// What a write does on its connection.
pub type Run<T> = Box<dyn for<'c> Fn(&'c mut AnyConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + Sync>;

/// What makes a write all or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It writes by one statement, which is that by itself.
    Statement,
    /// A transaction around it.
    Transaction,
}

/// When a write is on disk, so that it outlives a power loss. The end of the process it outlives in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before it is acknowledged.
    Immediate,
    /// With the next write, for one that another follows at once; PostgreSQL, which others see too, takes it at once.
    Deferred,
}

impl<T> Op<T> {
    /// A write in a transaction.
    pub fn transaction<F>(run: F) -> Op<T>
    where
        F: for<'c> Fn(&'c mut AnyConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + Sync + 'static,
    {
        Op { run: Box::new(run), extent: Extent::Transaction, durable: Durability::Immediate }
    }

    /// A write by one statement: what it reads before may have changed by then, as that statement sees for itself.
    pub fn statement<F>(run: F) -> Op<T>
    where
        F: for<'c> Fn(&'c mut AnyConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + Sync + 'static,
    {
        Op { extent: Extent::Statement, ..Op::transaction(run) }
    }

    /// The same, on disk at that time.
    pub fn durable(self, durable: Durability) -> Op<T> {
        Op { durable, ..self }
    }
}
