//! Ends of runs. Ends that come at the same time are written together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::AnyConnection;

use super::change::{check_fence, next_version};
use super::group_commit::{all_or_each, interrupted};
use super::lines::{self, LineWrite};
use super::sql::Sql;
use super::write::{Committed, Write};
use super::{Error, FenceToken, Store, notices, row};
use crate::clock::Clock;
use crate::task::change::End;
use crate::task::{ControlRequest, Progress, Refusal, Task, TaskChange, TaskId};

/// Cursor and progress that a run reported last. None if it reported nothing.
pub type LastReport = Option<(Option<String>, Progress)>;

/// The end of a run.
#[derive(Clone)]
pub(super) struct RunEnd {
    /// The task as the run knows it.
    task: Arc<Task>,
    last: LastReport,
    end: End,
    request: ControlRequest,
}

/// Ends of runs that are written together.
struct RunEnds(Vec<RunEnd>);

type EndResults = Vec<Result<Arc<Task>, Error>>;

impl Store {
    /// Ends the run of `task`, with its last report.
    ///
    /// # Errors
    /// [`Refusal::LeaseLost`] if the run does not have the task any more.
    #[tracing::instrument(target = "otlp.store", name = "store.end", skip_all)]
    pub async fn end(
        &self,
        task: &Arc<Task>,
        last: LastReport,
        end: End,
        request: ControlRequest,
    ) -> Result<Arc<Task>, Error> {
        let (store, run_end) = (self.clone(), RunEnd { task: Arc::clone(task), last, end, request });
        let run = move |ends: Vec<RunEnd>| {
            let store = store.clone();
            async move { all_or_each(ends, |ends| store.end_all(ends)).await }
        };
        let begin = Clock::monotonic();
        let ended = self.ends.call(run_end, run).await.unwrap_or_else(interrupted);
        self.calls.ended("end", begin, ended.as_ref().is_err_and(Error::is_unavailable));
        ended
    }

    /// Tasks of runs that ended soon mostly are as the runs know them, so they are written without being read. The others are read, and
    /// those with a receiver of notices, which needs a transaction.
    async fn end_all(&self, ends: Vec<RunEnd>) -> Result<EndResults, Error> {
        let unchanged = self.commit(Write::statement(RunEnds(ends.clone()), end_unchanged)).await?;
        let mut ended: HashMap<_, _> = unchanged.into_iter().map(|task| (task.id, Ok(task))).collect();
        let others: Vec<_> = ends.iter().filter(|end| !ended.contains_key(&end.task.id)).cloned().collect();
        if !others.is_empty() {
            let ids: Vec<_> = others.iter().map(|end| end.task.id).collect();
            ended.extend(ids.into_iter().zip(self.commit(Write::transaction(RunEnds(others), end_anew)).await?));
        }
        // A run ends once: a second end of the same task in this group finds no task.
        let mut outcome = |id| ended.remove(&id).unwrap_or_else(|| Err(Error::not_found(id)));
        Ok(ends.iter().map(|end| outcome(end.task.id)).collect())
    }
}

/// Ends runs whose tasks have not changed since the runs read them. Returns these tasks.
async fn end_unchanged(
    conn: &mut AnyConnection,
    sql: &Sql,
    RunEnds(ends): &RunEnds,
) -> sqlx::Result<Committed<Vec<Arc<Task>>>> {
    let changes = ends
        .iter()
        .filter(|end| end.task.notify_url.is_none())
        .filter_map(|end| apply(Task::clone(&end.task), end).ok());
    // All transactions lock rows in the order of their IDs.
    let changes: BTreeMap<TaskId, TaskChange> = changes.map(|change| (change.task.id, change)).collect();
    let mut changes: Vec<_> = changes.into_values().collect();
    if !changes.is_empty() {
        let written = lines::write(conn, sql, LineWrite::UpdateUnchanged, &changes).await?;
        changes.retain(|change| written.contains(&change.task.id));
    }
    Ok(Committed::of(changes))
}

/// Reads the tasks and ends their runs, except those that do not have their task any more.
async fn end_anew(conn: &mut AnyConnection, sql: &Sql, RunEnds(ends): &RunEnds) -> sqlx::Result<Committed<EndResults>> {
    let ids: Vec<_> = ends.iter().map(|end| end.task.id.to_string()).collect();
    let rows = sqlx::query(sql.get_all_locked.clone()).bind(lines::json(&ids)?).fetch_all(&mut *conn).await?;
    let tasks = rows.iter().map(row::task).collect::<sqlx::Result<Vec<_>>>()?;
    let mut tasks: HashMap<TaskId, Task> = tasks.into_iter().map(|task| (task.id, task)).collect();
    let mut changes = Vec::with_capacity(ends.len());
    let mut outcomes = Vec::with_capacity(ends.len());
    for end in ends {
        let Some(task) = tasks.remove(&end.task.id) else {
            outcomes.push(Err(Error::not_found(end.task.id)));
            continue;
        };
        let change = apply(task, end);
        outcomes.push(change.as_ref().map(|change| Arc::clone(&change.task)).map_err(|refusal| refusal.clone().into()));
        changes.extend(change);
    }
    if !changes.is_empty() {
        lines::write(conn, sql, LineWrite::Update, &changes).await?;
        notices::add(conn, sql, &mut changes).await?;
    }
    Ok(Committed { value: outcomes, changes })
}

fn apply(mut task: Task, end: &RunEnd) -> Result<TaskChange, Refusal> {
    check_fence(&task, FenceToken::of(&end.task))?;
    if let Some((cursor, progress)) = end.last.clone() {
        task.report(cursor, progress);
    }
    let transition = task.end(end.end.clone(), &end.request)?;
    Ok(next_version(task, transition))
}
