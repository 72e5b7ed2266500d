//! Changes of stored tasks inside a transaction: read a task, change it by its own functions, write it back.

use std::sync::Arc;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::claimant::Claimant;
use super::lines::{self, LineWrite};
use super::sql::Sql;
use super::write::Committed;
use super::{Error, FenceToken, notices, row};
use crate::task::{Refusal, StateChange, Task, TaskChange, TaskId};

/// Outcome of a change of one task.
pub(super) type Changed = Committed<Result<Arc<Task>, Error>>;

/// Function that changes a task. It may be called again after a conflict.
pub(super) trait ChangeFn: Fn(&mut Task) -> Result<Option<StateChange>, Refusal> + Send + Sync {}

impl<F: Fn(&mut Task) -> Result<Option<StateChange>, Refusal> + Send + Sync> ChangeFn for F {}

/// Tasks to be changed: a statement and its parameters.
pub(super) enum Select {
    Queued { claimant: Claimant, limit: i64 },
    Ends { claimant: Claimant, due: i64, limit: i64 },
    Short { claimant: Claimant, after: i64, until: i64, limit: i64 },
    Due { at: i64, limit: i64 },
    ExpiredPauses { at: i64, limit: i64 },
}

impl Select {
    /// The node that claims the tasks, if they are to be claimed.
    fn claimant(&self) -> Option<&Claimant> {
        match self {
            Select::Queued { claimant, .. } | Select::Ends { claimant, .. } | Select::Short { claimant, .. } => {
                Some(claimant)
            }
            Select::Due { .. } | Select::ExpiredPauses { .. } => None,
        }
    }
}

/// Returns the other unfinished task that holds the unique key of `task`.
pub(super) async fn conflicting_task(conn: &mut AnyConnection, sql: &Sql, task: &Task) -> sqlx::Result<Option<TaskId>> {
    let Some(key) = &task.unique_key else { return Ok(None) };
    let row = sqlx::query(sql.holder.clone()).bind(key.clone()).fetch_optional(conn).await?;
    let holder = row.as_ref().map(row::task).transpose()?;
    Ok(holder.map(|holder| holder.id).filter(|id| *id != task.id))
}

/// Changes one task by `change` and writes it back over the version that was read.
pub(super) async fn change_one<F: ChangeFn>(
    conn: &mut AnyConnection,
    sql: &Sql,
    (id, change): &(TaskId, F),
) -> sqlx::Result<Changed> {
    let unchanged = |value| Committed { value, changes: Vec::new() };
    let Some(mut task) = row::locked(conn, sql, *id).await? else {
        return Ok(unchanged(Err(Error::not_found(*id))));
    };
    let before = task.clone();
    let transition = match change(&mut task) {
        Ok(transition) => transition,
        Err(refusal) => return Ok(unchanged(Err(refusal.into()))),
    };
    if task == before {
        return Ok(unchanged(Ok(Arc::new(task))));
    }
    if before.state.is_final()
        && !task.state.is_final()
        && let Some(holder) = conflicting_task(conn, sql, &task).await?
    {
        return Ok(unchanged(Err(Refusal::Conflict(holder).into())));
    }
    let mut changes = vec![next_version(task, transition)];
    let value = Ok(Arc::clone(&changes[0].task));
    lines::write(conn, sql, LineWrite::Update, &changes).await?;
    notices::add(conn, sql, &mut changes).await?;
    Ok(Committed { value, changes })
}

/// Writes a new version of the task without another change. Does nothing if the task does not exist.
pub(super) async fn sync(conn: &mut AnyConnection, sql: &Sql, id: &TaskId) -> sqlx::Result<Committed<()>> {
    let task = row::locked(conn, sql, *id).await?;
    let changes = Vec::from_iter(task.map(|task| next_version(task, None)));
    if !changes.is_empty() {
        lines::write(conn, sql, LineWrite::Update, &changes).await?;
    }
    Ok(Committed { value: (), changes })
}

/// Changes the selected tasks, except those that refuse.
pub(super) async fn change_all<F: ChangeFn>(
    conn: &mut AnyConnection,
    sql: &Sql,
    (select, change): &(Select, F),
) -> sqlx::Result<Committed<Vec<Arc<Task>>>> {
    if let Some(claimant) = select.claimant()
        && !is_listed(conn, sql, &claimant.node.id).await?
    {
        return Ok(Committed::of(Vec::new()));
    }
    let query = match select {
        Select::Queued { limit, .. } => sqlx::query(sql.claim.clone()).bind(*limit),
        Select::Ends { due, limit, .. } => sqlx::query(sql.claim_ends.clone()).bind(*due).bind(*limit),
        Select::Short { after, until, limit, .. } => {
            sqlx::query(sql.claim_short.clone()).bind(*after).bind(*until).bind(*limit)
        }
        Select::Due { at, limit } => sqlx::query(sql.due.clone()).bind(*at).bind(*limit),
        Select::ExpiredPauses { at, limit } => sqlx::query(sql.expired.clone()).bind(*at).bind(*limit),
    };
    let query = match select.claimant() {
        Some(claimant) => query.bind(claimant.kinds.clone()),
        None => query,
    };
    let rows = query.fetch_all(&mut *conn).await?;
    let mut changed = Committed::of(change_rows(conn, sql, &rows, change).await?);
    notices::add(conn, sql, &mut changed.changes).await?;
    Ok(changed)
}

/// Changes the tasks of rows that this transaction has locked, except those that refuse.
pub(super) async fn change_rows(
    conn: &mut AnyConnection,
    sql: &Sql,
    rows: &[AnyRow],
    change: &impl ChangeFn,
) -> sqlx::Result<Vec<TaskChange>> {
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let mut task = row::task(row)?;
        if let Ok(transition) = change(&mut task) {
            changes.push(next_version(task, transition));
        }
    }
    if !changes.is_empty() {
        lines::write(conn, sql, LineWrite::Update, &changes).await?;
    }
    Ok(changes)
}

/// The changed task as it is written.
pub(super) fn next_version(mut task: Task, transition: Option<StateChange>) -> TaskChange {
    task.version += 1;
    TaskChange { task: Arc::new(task), transition }
}

/// Checks that the run with this token still has the task.
///
/// # Errors
/// [`Refusal::LeaseLost`] if a newer claim or none has it.
pub(super) fn check_fence(task: &Task, token: FenceToken) -> Result<(), Refusal> {
    if task.epoch == token.epoch && task.owner.is_some() { Ok(()) } else { Err(Refusal::LeaseLost) }
}

/// Returns true if the node with this ID is listed. It stays listed until the transaction ends.
async fn is_listed(conn: &mut AnyConnection, sql: &Sql, node: &str) -> sqlx::Result<bool> {
    Ok(sqlx::query(sql.listed.clone()).bind(node.to_owned()).fetch_optional(conn).await?.is_some())
}
