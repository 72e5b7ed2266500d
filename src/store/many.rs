//! The verbs that come by the thousand each second: starts, ends of runs, and the taking of brief tasks. What is asked at
//! the same time is done in one transaction, with few statements.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row};

use super::lines::{self, Written};
use super::sql::Sql;
use super::write::{Changed, Select, held, in_the_way};
use super::{Error, Extent, Key, Op, Room, Run, Started, Store, row, uploads};
use crate::task::change::End;
use crate::task::{Ask, Progress, Refusal, StateChange, Task, TaskId};

/// What a run reported last: its cursor and its progress.
pub type Last = Option<(Option<String>, Progress)>;

/// A task that is to be written.
#[derive(Clone)]
pub(super) struct New {
    task: Task,
    by: String,
    max_waiting: u64,
}

/// The end of a run.
#[derive(Clone)]
pub(super) struct Ending {
    /// The task as its run knows it.
    task: Arc<Task>,
    last: Last,
    end: End,
    ask: Ask,
}

/// Which brief tasks are looked at: those that are due after the one moment and not after the other.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// Not these any more.
    pub after: Timestamp,
    /// The last of these.
    pub until: Timestamp,
}

/// What becomes of a brief task that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This node takes it.
    Take,
    /// Its lane is full: it is looked at again then.
    PutOff(Timestamp),
}

impl Store {
    /// Writes a new task, unless its idempotency key, what it holds or `max_waiting` stands against it.
    pub async fn create(&self, task: Task, by: &str, max_waiting: u64) -> Result<Started, Error> {
        let (store, new) = (self.clone(), New { task, by: by.to_owned(), max_waiting });
        let run = move |news: Vec<New>| {
            let store = store.clone();
            async move { all_or_each(news, |news| store.create_all(news)).await }
        };
        self.creates.call(new, run).await.unwrap_or_else(broke_off)
    }

    /// Somebody waits for a start right now.
    pub fn is_starting(&self) -> bool {
        self.creates.is_busy()
    }

    /// The run of `task`, as this one has it, ends, with what it last reported.
    pub async fn end(&self, task: &Arc<Task>, last: Last, end: End, ask: Ask) -> Result<Arc<Task>, Error> {
        let (store, ending) = (self.clone(), Ending { task: Arc::clone(task), last, end, ask });
        let run = move |endings: Vec<Ending>| {
            let store = store.clone();
            async move { all_or_each(endings, |endings| store.end_all(endings)).await }
        };
        self.ends.call(ending, run).await.unwrap_or_else(broke_off)
    }

    /// Looks at no more than `limit` brief tasks of these moments, the earliest first: takes or puts off each as `choose`
    /// says. Answers both; those that were taken are RUNNING.
    pub async fn claim_brief<F>(
        &self,
        node: &str,
        now: Timestamp,
        moments: Moments,
        limit: usize,
        choose: F,
    ) -> Result<Vec<Arc<Task>>, Error>
    where
        F: Fn(&Task) -> Choice + Send + Sync + 'static,
    {
        let (after, until) = (moments.after.as_microsecond(), moments.until.as_microsecond());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let node = node.to_owned();
        let select = Select::Brief { node: node.clone(), after, until, limit };
        let take = move |task: &mut Task| match choose(task) {
            Choice::Take => task.claim(&node, now),
            Choice::PutOff(until) => {
                task.put_off(until);
                Ok(None)
            }
        };
        self.change_all(select, take).await
    }

    /// When the next brief task is due.
    pub async fn next_brief(&self) -> Result<Option<Timestamp>, Error> {
        self.next(&self.sql.next_brief).await
    }

    /// Those of the tasks that changed since they were read, as they are now.
    pub async fn changed_since(&self, known: &[Arc<Task>]) -> Result<Vec<Arc<Task>>, Error> {
        let versions: HashMap<_, _> = known.iter().map(|task| (task.id, task.version)).collect();
        let ids: Vec<_> = known.iter().map(|task| task.id.to_string()).collect();
        let rows = sqlx::query(self.sql.versions.clone()).bind(lines::json(&ids)?).fetch_all(&self.pool).await?;
        let mut newer = Vec::new();
        for row in &rows {
            let (id, version) = (row::id(row)?, row.try_get::<i64, _>("version")?);
            if versions.get(&id).is_some_and(|known| version > *known) {
                newer.extend(self.get(id).await?);
            }
        }
        Ok(newer)
    }

    async fn create_all(&self, news: Vec<New>) -> Result<Vec<Result<Started, Error>>, Error> {
        // What is read is held by a transaction; else the unique indexes say what stands against a start.
        let alone = news.iter().all(|new| new.task.upload.is_none());
        let (sql, room, news) = (Arc::clone(&self.sql), Arc::clone(&self.room), Arc::new(news));
        let run: Run<Vec<Result<Started, Error>>> = Box::new(move |conn| {
            let (sql, room, news) = (Arc::clone(&sql), Arc::clone(&room), Arc::clone(&news));
            Box::pin(async move { create_all(conn, &sql, &room, &news).await })
        });
        let started = |outcome: &Result<Started, Error>| match outcome {
            Ok(Started::New(task)) => Some((Arc::clone(task), true)),
            _ => None,
        };
        let extent = if alone { Extent::Statement } else { Extent::Transaction };
        self.write_and_tell(Op { run, extent }, move |outcomes| outcomes.iter().filter_map(started).collect()).await
    }

    /// Brief tasks are mostly as their runs know them: then they need not be read.
    async fn end_all(&self, endings: Vec<Ending>) -> Result<Vec<Result<Arc<Task>, Error>>, Error> {
        let (known, mut others): (Vec<_>, Vec<_>) = endings.iter().cloned().partition(|ending| ending.task.is_brief());
        let mut ended = HashMap::new();
        if !known.is_empty() {
            let unchanged = self.end_unchanged(known.clone()).await?;
            ended.extend(unchanged.into_iter().map(|(task, _)| (task.id, Ok(task))));
            others.extend(known.into_iter().filter(|ending| !ended.contains_key(&ending.task.id)));
        }
        if !others.is_empty() {
            let ids: Vec<_> = others.iter().map(|ending| ending.task.id).collect();
            ended.extend(ids.into_iter().zip(self.end_anew(others).await?));
        }
        // One run ends a task, and ends it once: a second end in the same group finds no task to end.
        let mut outcome = |id| ended.remove(&id).unwrap_or_else(|| Err(Error::not_found(id)));
        Ok(endings.iter().map(|ending| outcome(ending.task.id)).collect())
    }

    /// Ends runs whose tasks are as the runs know them; answers those.
    async fn end_unchanged(&self, endings: Vec<Ending>) -> Result<Vec<Changed>, Error> {
        let (sql, endings) = (Arc::clone(&self.sql), Arc::new(endings));
        let op: Op<Vec<Changed>> = Op::statement(move |conn| {
            let (sql, endings) = (Arc::clone(&sql), Arc::clone(&endings));
            Box::pin(async move { end_unchanged(conn, &sql, &endings).await })
        });
        self.write_and_tell(op, Vec::clone).await
    }

    async fn end_anew(&self, endings: Vec<Ending>) -> Result<Vec<Result<Arc<Task>, Error>>, Error> {
        let (sql, endings) = (Arc::clone(&self.sql), Arc::new(endings));
        let op: Op<Vec<Result<Changed, Error>>> = Op::transaction(move |conn| {
            let (sql, endings) = (Arc::clone(&sql), Arc::clone(&endings));
            Box::pin(async move { end_anew(conn, &sql, &endings).await })
        });
        let ended = |outcomes: &Vec<Result<Changed, Error>>| outcomes.iter().flatten().cloned().collect();
        let outcomes = self.write_and_tell(op, ended).await?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map(|(task, _)| task)).collect())
    }
}

/// All in one transaction; where the database throws that out, each in one of its own, so that one fails alone.
async fn all_or_each<I, O, F>(calls: Vec<I>, run: impl Fn(Vec<I>) -> F) -> Vec<Result<O, Error>>
where
    I: Clone,
    F: Future<Output = Result<Vec<Result<O, Error>>, Error>>,
{
    match run(calls.clone()).await {
        Ok(outcomes) => outcomes,
        Err(Error::Failed(_)) if calls.len() > 1 => {
            let mut outcomes = Vec::with_capacity(calls.len());
            for call in calls {
                let alone = run(vec![call]).await;
                outcomes.push(alone.and_then(|mut only| only.pop().unwrap_or_else(|| broke_off())));
            }
            outcomes
        }
        Err(error) => calls.iter().map(|_| Err(error.clone())).collect(),
    }
}

fn broke_off<T>() -> Result<T, Error> {
    Err(Error::Failed("a write broke off".to_owned()))
}

/// Writes new tasks, each unless something stands against it.
async fn create_all(
    conn: &mut AnyConnection,
    sql: &Sql,
    room: &Room,
    news: &[New],
) -> sqlx::Result<Vec<Result<Started, Error>>> {
    let mut same = of_keys(conn, sql, news).await?;
    let mut outcomes = Vec::with_capacity(news.len());
    let mut written: Vec<Written> = Vec::new();
    for New { task, by, .. } in news {
        let key = task.idempotency_key.as_ref();
        let outcome = match key.and_then(|key| same.get(key)) {
            Some(task) => Ok(Started::Same(Arc::clone(task))),
            None => match stands_against(conn, sql, task).await? {
                Some(error) => Err(error),
                None => {
                    let task = Arc::new(task.clone());
                    let at = task.created_at;
                    let first = StateChange { from: None, to: task.state, at, by: by.clone(), reason: None };
                    same.extend(key.map(|key| (key.clone(), Arc::clone(&task))));
                    written.push((Arc::clone(&task), Some(first)));
                    Ok(Started::New(task))
                }
            },
        };
        outcomes.push(outcome);
    }
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

/// The tasks that earlier starts with the same keys made.
async fn of_keys(conn: &mut AnyConnection, sql: &Sql, news: &[New]) -> sqlx::Result<HashMap<String, Arc<Task>>> {
    let keys: Vec<_> = news.iter().filter_map(|new| new.task.idempotency_key.clone()).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(sql.by_keys.clone()).bind(lines::json(&keys)?).fetch_all(conn).await?;
    let tasks = rows.iter().map(|row| row::task(row).map(Arc::new)).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(tasks.into_iter().filter_map(|task| Some((task.idempotency_key.clone()?, task))).collect())
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

/// Ends runs whose tasks nobody changed since the runs have them.
async fn end_unchanged(conn: &mut AnyConnection, sql: &Sql, endings: &[Ending]) -> sqlx::Result<Vec<Changed>> {
    let ended = endings.iter().filter_map(|ending| end(Task::clone(&ending.task), ending).ok());
    let written: HashMap<TaskId, Written> = ended.map(|written| (written.0.id, written)).collect();
    let written: Vec<_> = written.into_values().collect();
    if written.is_empty() {
        return Ok(Vec::new());
    }
    let ids = lines::update_unchanged(conn, sql, &written).await?;
    let unchanged = written.into_iter().filter(|(task, _)| ids.contains(&task.id));
    Ok(unchanged.map(|(task, change)| (task, change.is_some())).collect())
}

/// Ends runs, each as far as it still holds its task.
async fn end_anew(
    conn: &mut AnyConnection,
    sql: &Sql,
    endings: &[Ending],
) -> sqlx::Result<Vec<Result<Changed, Error>>> {
    let ids: Vec<_> = endings.iter().map(|ending| ending.task.id.to_string()).collect();
    let rows = sqlx::query(sql.get_all_locked.clone()).bind(lines::json(&ids)?).fetch_all(&mut *conn).await?;
    let tasks = rows.iter().map(row::task).collect::<sqlx::Result<Vec<_>>>()?;
    let mut tasks: HashMap<TaskId, Task> = tasks.into_iter().map(|task| (task.id, task)).collect();
    let mut written: Vec<Written> = Vec::with_capacity(endings.len());
    let mut outcomes = Vec::with_capacity(endings.len());
    for ending in endings {
        let Some(task) = tasks.remove(&ending.task.id) else {
            outcomes.push(Err(Error::not_found(ending.task.id)));
            continue;
        };
        let ended = end(task, ending);
        outcomes.push(
            ended
                .as_ref()
                .map(|(task, change)| (Arc::clone(task), change.is_some()))
                .map_err(|refusal| refusal.clone().into()),
        );
        written.extend(ended);
    }
    if !written.is_empty() {
        lines::update(conn, sql, &written).await?;
    }
    Ok(outcomes)
}

fn end(mut task: Task, ending: &Ending) -> Result<Written, Refusal> {
    held(&task, Key::of(&ending.task))?;
    if let Some((cursor, progress)) = ending.last.clone() {
        task.report(cursor, progress);
    }
    let change = task.end(ending.end.clone(), &ending.ask)?;
    task.version += 1;
    Ok((Arc::new(task), change))
}
