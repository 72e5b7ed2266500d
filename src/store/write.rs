//! Writes, as both databases run them.

use std::sync::Arc;

use sqlx::AnyConnection;

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
    /// What makes the write atomic.
    pub scope: Scope,
    /// When the write is on disk.
    pub durability: Durability,
}

/// What makes a write atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A single statement, which is atomic by itself.
    Statement,
    /// A transaction.
    Transaction,
}

/// When a write is on disk, so that it survives a power loss. It survives the end of the process in any case.
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
