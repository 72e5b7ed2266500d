//! Starts of tasks. Those that are asked for at the same time are written together.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::AnyConnection;

use super::batch::BATCHES;
use super::lines::{self, Written};
use super::op::{Extent, Op};
use super::sql::Sql;
use super::together::{all_or_each, broke_off};
use super::write::{Changed, in_the_way};
use super::{Error, Room, Started, Store, row, uploads};
use crate::clock::Clock;
use crate::task::{IdempotencyKey, Refusal, StateChange, Task};

/// A task that is to be written.
#[derive(Clone)]
pub(super) struct New {
    pub task: Task,
    pub by: String,
    pub max_waiting: u64,
}

impl Store {
    /// Writes a new task, unless its idempotency key, what it holds or `max_waiting` stands against it.
    #[tracing::instrument(target = "otlp.store", name = "store.create", skip_all)]
    pub async fn create(&self, task: Task, by: &str, max_waiting: u64) -> Result<Started, Error> {
        let (store, new) = (self.clone(), New { task, by: by.to_owned(), max_waiting });
        let run = move |news: Vec<New>| {
            let store = store.clone();
            async move { all_or_each(news, |news| store.create_all(news)).await }
        };
        let begin = Clock::monotonic();
        let started = self.creates.call(new, run).await.unwrap_or_else(broke_off);
        self.calls.ended("start", begin, started.as_ref().is_err_and(Error::is_unavailable));
        started
    }

    /// Somebody waits for a start right now.
    pub fn is_starting(&self) -> bool {
        self.creates.is_busy() || self.batches.available_permits() < BATCHES
    }

    async fn create_all(&self, news: Vec<New>) -> Result<Vec<Result<Started, Error>>, Error> {
        // What is read is held by a transaction; else the unique indexes say what stands against a start.
        let alone = news.iter().all(|new| new.task.upload.is_none());
        let (sql, room, news) = (Arc::clone(&self.sql), Arc::clone(&self.room), Arc::new(news));
        let starts = Arc::clone(&news);
        let op: Op<Vec<Result<Started, Error>>> = Op::transaction(move |conn| {
            let (sql, room, news) = (Arc::clone(&sql), Arc::clone(&room), Arc::clone(&news));
            Box::pin(async move { create_all(conn, &sql, &room, &news).await })
        });
        let extent = if alone { Extent::Statement } else { Extent::Transaction };
        let started = move |outcomes: &Vec<Result<Started, Error>>| {
            outcomes
                .iter()
                .zip(starts.iter())
                .filter_map(|(outcome, new)| new.written(outcome.as_ref().ok()?))
                .collect()
        };
        self.write_and_tell(Op { extent, ..op }, started).await
    }
}

impl New {
    /// The task and its change of state, if this start made it.
    pub fn written(&self, started: &Started) -> Option<Changed> {
        match started {
            Started::New(task) => Some((Arc::clone(task), Some(self.change()))),
            Started::Same(_) => None,
        }
    }

    /// The first line of the task's history.
    fn change(&self) -> StateChange {
        let Task { state, created_at, .. } = self.task;
        StateChange { from: None, to: state, at: created_at, by: self.by.clone(), reason: None }
    }
}

/// Writes new tasks, each unless something stands against it.
async fn create_all(
    conn: &mut AnyConnection,
    sql: &Sql,
    room: &Room,
    news: &[New],
) -> sqlx::Result<Vec<Result<Started, Error>>> {
    let (mut outcomes, mut written) = decide(conn, sql, news).await?;
    let limit = news.iter().map(|new| new.max_waiting).min().unwrap_or(u64::MAX);
    let (fit, waiting) = room.take(conn, written.len() as u64, limit).await?;
    for (late, _) in written.drain(usize::try_from(fit).unwrap_or(usize::MAX)..) {
        let of_it =
            |outcome: &&mut Result<Started, Error>| matches!(outcome, Ok(started) if started.task().id == late.id);
        outcomes.iter_mut().filter(of_it).for_each(|outcome| *outcome = Err(Error::TooBusy { waiting, limit }));
    }
    if !written.is_empty() {
        lines::insert(conn, sql, &written).await?;
    }
    Ok(outcomes)
}

/// Decides what becomes of each start, and which tasks are to be written for them. Writes nothing.
pub(super) async fn decide(
    conn: &mut AnyConnection,
    sql: &Sql,
    news: &[New],
) -> sqlx::Result<(Vec<Result<Started, Error>>, Vec<Written>)> {
    let mut same = of_keys(conn, sql, news).await?;
    let mut outcomes = Vec::with_capacity(news.len());
    let mut written: Vec<Written> = Vec::new();
    for new in news {
        let task = &new.task;
        let key = task.idempotency_key.as_ref();
        let outcome = match key.and_then(|key| Some((key, same.get(&key.text)?))) {
            Some((key, earlier)) => repeated(&task.kind, key, earlier).map(Started::Same),
            None => match stands_against(conn, sql, task).await? {
                Some(error) => Err(error),
                None => {
                    let task = Arc::new(task.clone());
                    same.extend(key.map(|key| (key.text.clone(), Arc::clone(&task))));
                    written.push((Arc::clone(&task), Some(new.change())));
                    Ok(Started::New(task))
                }
            },
        };
        outcomes.push(outcome);
    }
    Ok((outcomes, written))
}

/// The tasks that earlier starts with the same keys made.
async fn of_keys(conn: &mut AnyConnection, sql: &Sql, news: &[New]) -> sqlx::Result<HashMap<String, Arc<Task>>> {
    let keys: Vec<_> = news.iter().filter_map(|new| Some(new.task.idempotency_key.as_ref()?.text.as_str())).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(sql.by_keys.clone()).bind(lines::json(&keys)?).fetch_all(conn).await?;
    let tasks = rows.iter().map(|row| row::task(row).map(Arc::new)).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(tasks.into_iter().filter_map(|task| Some((task.idempotency_key.as_ref()?.text.clone(), task))).collect())
}

/// The task that `key` belongs to.
///
/// # Errors
/// [`Error::KeyReused`] if that task was started with another kind or input.
pub(super) fn repeated(kind: &str, key: &IdempotencyKey, earlier: &Arc<Task>) -> Result<Arc<Task>, Error> {
    if earlier.is_repeated_by(kind, key) {
        return Ok(Arc::clone(earlier));
    }
    Err(Error::KeyReused { key: key.text.clone(), task: earlier.id })
}

async fn stands_against(conn: &mut AnyConnection, sql: &Sql, task: &Task) -> sqlx::Result<Option<Error>> {
    if let Some(holder) = in_the_way(conn, sql, task).await? {
        return Ok(Some(Refusal::Conflict(holder).into()));
    }
    match &task.upload {
        Some(upload) if !uploads::kept(conn, sql, upload).await? => Ok(Some(Error::NoUpload(upload.clone()))),
        _ => Ok(None),
    }
}
