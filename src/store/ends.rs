//! Ends of runs. Those that come at the same time are written together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::AnyConnection;

use super::lines::{self, Written};
use super::op::Op;
use super::sql::Sql;
use super::together::{all_or_each, broke_off};
use super::write::{Changed, check_fence};
use super::{Error, FenceToken, Store, row};
use crate::clock::Clock;
use crate::task::change::End;
use crate::task::{ControlRequest, Progress, Refusal, Task, TaskId};

/// What a run reported last: its cursor and its progress.
pub type Last = Option<(Option<String>, Progress)>;

/// The end of a run.
#[derive(Clone)]
pub(super) struct Ending {
    /// The task as its run knows it.
    task: Arc<Task>,
    last: Last,
    end: End,
    ask: ControlRequest,
}

impl Store {
    /// The run of `task`, as this one has it, ends, with what it last reported.
    #[tracing::instrument(target = "otlp.store", name = "store.end", skip_all)]
    pub async fn end(&self, task: &Arc<Task>, last: Last, end: End, ask: ControlRequest) -> Result<Arc<Task>, Error> {
        let (store, ending) = (self.clone(), Ending { task: Arc::clone(task), last, end, ask });
        let run = move |endings: Vec<Ending>| {
            let store = store.clone();
            async move { all_or_each(endings, |endings| store.end_all(endings)).await }
        };
        let begin = Clock::monotonic();
        let ended = self.ends.call(ending, run).await.unwrap_or_else(broke_off);
        self.calls.ended("end", begin, ended.as_ref().is_err_and(Error::is_unavailable));
        ended
    }

    /// Short tasks are mostly as their runs know them: then they need not be read.
    async fn end_all(&self, endings: Vec<Ending>) -> Result<Vec<Result<Arc<Task>, Error>>, Error> {
        let (known, mut others): (Vec<_>, Vec<_>) = endings.iter().cloned().partition(|ending| ending.task.is_short());
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

/// Ends runs whose tasks nobody changed since the runs have them.
async fn end_unchanged(conn: &mut AnyConnection, sql: &Sql, endings: &[Ending]) -> sqlx::Result<Vec<Changed>> {
    let ended = endings.iter().filter_map(|ending| end(Task::clone(&ending.task), ending).ok());
    // Rows are locked in the order of their ids, here as everywhere.
    let written: BTreeMap<TaskId, Written> = ended.map(|written| (written.0.id, written)).collect();
    let written: Vec<_> = written.into_values().collect();
    if written.is_empty() {
        return Ok(Vec::new());
    }
    let ids = lines::update_unchanged(conn, sql, &written).await?;
    Ok(written.into_iter().filter(|(task, _)| ids.contains(&task.id)).collect())
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
        outcomes.push(ended.clone().map_err(Error::from));
        written.extend(ended);
    }
    if !written.is_empty() {
        lines::update(conn, sql, &written).await?;
    }
    Ok(outcomes)
}

fn end(mut task: Task, ending: &Ending) -> Result<Written, Refusal> {
    check_fence(&task, FenceToken::of(&ending.task))?;
    if let Some((cursor, progress)) = ending.last.clone() {
        task.report(cursor, progress);
    }
    let change = task.end(ending.end.clone(), &ending.ask)?;
    task.version += 1;
    Ok((Arc::new(task), change))
}
