//! Starts of tasks. Starts that come at the same time are written together.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::AnyConnection;

use super::change::conflicting_task;
use super::group_commit::{all_or_each, interrupted};
use super::lines::{self, LineWrite};
use super::sql::Sql;
use super::write::{Committed, Scope, Write};
use super::{BacklogLimit, Error, Store, row, uploads};
use crate::access::Caller;
use crate::clock::Clock;
use crate::task::{Author, IdempotencyKey, Refusal, StateChange, Task, TaskChange};

/// Maximum number of batches that are written at the same time. Other writes come between them and those that wait.
pub(super) const BATCHES: usize = 2;

/// A task to be written.
#[derive(Clone)]
pub(super) struct NewRow {
    pub task: Task,
    pub by: Author,
    pub max_waiting: u64,
}

/// Tasks to be written, with the limit of waiting tasks.
pub(super) type NewRows = (Vec<NewRow>, Arc<BacklogLimit>);

type StartResults = Vec<Result<Started, Error>>;

/// Outcome of a start.
#[derive(Clone, Debug)]
pub enum Started {
    /// A new task.
    New(Arc<Task>),
    /// The task of an earlier start with the same idempotency key.
    Same(Arc<Task>),
}

impl Started {
    /// Returns the task, new or not.
    pub fn task(&self) -> &Arc<Task> {
        match self {
            Started::New(task) | Started::Same(task) => task,
        }
    }

    /// Returns the task, new or not, by value.
    pub fn into_task(self) -> Arc<Task> {
        match self {
            Started::New(task) | Started::Same(task) => task,
        }
    }
}

impl Store {
    /// Writes a new task.
    ///
    /// # Errors
    /// If its idempotency key belongs to another input, another task holds its unique key, its upload is missing, or
    /// `max_waiting` tasks wait already.
    #[tracing::instrument(target = "otlp.store", name = "store.create", skip_all, fields(%caller))]
    pub async fn create(&self, caller: &Caller, task: Task, max_waiting: u64) -> Result<Started, Error> {
        let (store, row) = (self.clone(), NewRow { task, by: caller.author(), max_waiting });
        let run = move |rows: Vec<NewRow>| {
            let store = store.clone();
            async move { all_or_each(rows, |rows| store.create_all(rows)).await }
        };
        let begin = Clock::monotonic();
        let started = self.starts.call(row, run).await.unwrap_or_else(interrupted);
        self.calls.ended("start", begin, started.as_ref().is_err_and(Error::is_unavailable));
        started
    }

    /// Returns the task of an earlier start of this kind with this key and input.
    ///
    /// # Errors
    /// [`Error::KeyReused`] if the key belongs to another kind or input.
    #[tracing::instrument(target = "otlp.store", name = "store.repeated", skip_all, fields(%caller))]
    pub async fn repeated(
        &self,
        caller: &Caller,
        kind: &str,
        key: &IdempotencyKey,
    ) -> Result<Option<Arc<Task>>, Error> {
        let row =
            self.read(sqlx::query(self.sql.by_key.clone()).bind(key.text.clone()).fetch_optional(&self.pool)).await?;
        let earlier = row.as_ref().map(row::task).transpose()?.map(Arc::new);
        earlier.map(|earlier| repeated(kind, key, &earlier)).transpose()
    }

    /// Returns true if a caller waits for a start.
    pub fn is_starting(&self) -> bool {
        self.starts.is_busy() || self.batches.available_permits() < BATCHES
    }

    async fn create_all(&self, rows: Vec<NewRow>) -> Result<StartResults, Error> {
        let scope = scope(&rows);
        let write = Write::transaction((rows, Arc::clone(&self.backlog_limit)), create_all);
        self.commit(Write { scope, ..write }).await
    }
}

/// Starts that read an upload lock its row, which needs a transaction. Unique indexes check the others.
pub(super) fn scope(rows: &[NewRow]) -> Scope {
    if rows.iter().all(|row| row.task.upload.is_none()) { Scope::Statement } else { Scope::Transaction }
}

impl NewRow {
    /// The task with the first entry of its history.
    fn change(&self) -> TaskChange {
        let Task { state, created_at, .. } = self.task;
        let transition = StateChange { from: None, to: state, at: created_at, by: self.by.to_string(), reason: None };
        TaskChange { task: Arc::new(self.task.clone()), transition: Some(transition) }
    }
}

/// Writes new tasks, except those that are refused.
async fn create_all(
    conn: &mut AnyConnection,
    sql: &Sql,
    (rows, backlog_limit): &NewRows,
) -> sqlx::Result<Committed<StartResults>> {
    let (mut outcomes, mut changes) = decide(conn, sql, rows).await?;
    let limit = rows.iter().map(|row| row.max_waiting).min().unwrap_or(u64::MAX);
    let (allowed, waiting) = backlog_limit.take(conn, changes.len() as u64, limit).await?;
    for late in changes.drain(usize::try_from(allowed).unwrap_or(usize::MAX)..) {
        let of_it =
            |outcome: &&mut Result<Started, Error>| matches!(outcome, Ok(started) if started.task().id == late.task.id);
        outcomes.iter_mut().filter(of_it).for_each(|outcome| *outcome = Err(Error::TooBusy { waiting, limit }));
    }
    if !changes.is_empty() {
        lines::write(conn, sql, LineWrite::Insert, &changes).await?;
    }
    Ok(Committed { value: outcomes, changes })
}

/// Decides the outcome of each start, and which tasks are to be written. Writes nothing.
pub(super) async fn decide(
    conn: &mut AnyConnection,
    sql: &Sql,
    rows: &[NewRow],
) -> sqlx::Result<(StartResults, Vec<TaskChange>)> {
    let mut same = tasks_of_keys(conn, sql, rows).await?;
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut changes: Vec<TaskChange> = Vec::new();
    for row in rows {
        let task = &row.task;
        let key = task.idempotency_key.as_ref();
        let outcome = match key.and_then(|key| Some((key, same.get(&key.text)?))) {
            Some((key, earlier)) => repeated(&task.kind, key, earlier).map(Started::Same),
            None => match obstacle(conn, sql, task).await? {
                Some(error) => Err(error),
                None => {
                    let change = row.change();
                    let task = Arc::clone(&change.task);
                    same.extend(key.map(|key| (key.text.clone(), Arc::clone(&task))));
                    changes.push(change);
                    Ok(Started::New(task))
                }
            },
        };
        outcomes.push(outcome);
    }
    Ok((outcomes, changes))
}

/// Returns the tasks of earlier starts with the same idempotency keys.
async fn tasks_of_keys(
    conn: &mut AnyConnection,
    sql: &Sql,
    rows: &[NewRow],
) -> sqlx::Result<HashMap<String, Arc<Task>>> {
    let keys: Vec<_> = rows.iter().filter_map(|row| Some(row.task.idempotency_key.as_ref()?.text.as_str())).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(sql.by_keys.clone()).bind(lines::json(&keys)?).fetch_all(conn).await?;
    let tasks = rows.iter().map(|row| row::task(row).map(Arc::new)).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(tasks.into_iter().filter_map(|task| Some((task.idempotency_key.as_ref()?.text.clone(), task))).collect())
}

/// Returns the task that `key` belongs to.
///
/// # Errors
/// [`Error::KeyReused`] if that task was started with another kind or input.
pub(super) fn repeated(kind: &str, key: &IdempotencyKey, earlier: &Arc<Task>) -> Result<Arc<Task>, Error> {
    if earlier.is_repeated_by(kind, key) {
        return Ok(Arc::clone(earlier));
    }
    Err(Error::KeyReused { key: key.text.clone(), task: earlier.id })
}

/// Returns why the task cannot be written, if so.
async fn obstacle(conn: &mut AnyConnection, sql: &Sql, task: &Task) -> sqlx::Result<Option<Error>> {
    if let Some(holder) = conflicting_task(conn, sql, task).await? {
        return Ok(Some(Refusal::Conflict(holder).into()));
    }
    match &task.upload {
        Some(upload) if !uploads::lock_complete(conn, sql, upload).await? => Ok(Some(Error::NoUpload(upload.clone()))),
        _ => Ok(None),
    }
}
