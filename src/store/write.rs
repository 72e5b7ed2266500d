//! What a write does inside its transaction: read, change by the task's own functions, write back.

use std::sync::Arc;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::sql::Sql;
use super::{Error, FenceToken, lines, nodes, row};
use crate::task::{Refusal, StateChange, Task, TaskId};

/// The task as it is then, and what was written, if anything.
pub(super) type Outcome = Result<(Arc<Task>, Option<Changed>), Error>;

/// A task that was written, with the change of its state, if that changed.
pub(super) type Changed = lines::Written;

/// Which tasks to change: a statement and what it binds.
pub(super) enum Select {
    Queued { node: String, limit: i64 },
    Ends { node: String, due: i64, limit: i64 },
    Brief { node: String, after: i64, until: i64, limit: i64 },
    Due { at: i64, limit: i64 },
    Expired { at: i64, limit: i64 },
}

/// The other unfinished task that holds what `task` needs.
pub(super) async fn in_the_way(conn: &mut AnyConnection, sql: &Sql, task: &Task) -> sqlx::Result<Option<TaskId>> {
    let Some(what) = &task.unique_key else { return Ok(None) };
    let row = sqlx::query(sql.holder.clone()).bind(what.clone()).fetch_optional(conn).await?;
    let holder = row.as_ref().map(row::task).transpose()?;
    Ok(holder.map(|holder| holder.id).filter(|id| *id != task.id))
}

/// How a task is changed; it may be called again.
pub(super) type Change = dyn Fn(&mut Task) -> Result<Option<StateChange>, Refusal> + Send + Sync;

/// Changes one task by `f` and writes it back over the version that was read.
pub(super) async fn change(conn: &mut AnyConnection, sql: &Sql, id: TaskId, f: &Change) -> sqlx::Result<Outcome> {
    let Some(mut task) = row::locked(conn, sql, id).await? else {
        return Ok(Err(Error::not_found(id)));
    };
    let before = task.clone();
    let change = match f(&mut task) {
        Ok(change) => change,
        Err(refusal) => return Ok(Err(refusal.into())),
    };
    if task == before {
        return Ok(Ok((Arc::new(task), None)));
    }
    if before.state.is_final()
        && !task.state.is_final()
        && let Some(holder) = in_the_way(conn, sql, &task).await?
    {
        return Ok(Err(Refusal::Conflict(holder).into()));
    }
    task.version += 1;
    let written = (Arc::new(task), change);
    lines::update(conn, sql, std::slice::from_ref(&written)).await?;
    Ok(Ok((Arc::clone(&written.0), Some(written))))
}

/// Writes a task as it is, with a new version; none where it is gone.
pub(super) async fn keep(conn: &mut AnyConnection, sql: &Sql, id: TaskId) -> sqlx::Result<Option<Arc<Task>>> {
    let Some(mut task) = row::locked(conn, sql, id).await? else { return Ok(None) };
    task.version += 1;
    let written = (Arc::new(task), None);
    lines::update(conn, sql, std::slice::from_ref(&written)).await?;
    Ok(Some(written.0))
}

/// Changes the tasks that `select` finds.
pub(super) async fn change_all(
    conn: &mut AnyConnection,
    sql: &Sql,
    select: &Select,
    f: &Change,
) -> sqlx::Result<Vec<Changed>> {
    if let Select::Queued { node, .. } | Select::Ends { node, .. } | Select::Brief { node, .. } = select
        && !nodes::listed(conn, sql, node).await?
    {
        return Ok(Vec::new());
    }
    let query = match *select {
        Select::Queued { limit, .. } => sqlx::query(sql.claim.clone()).bind(limit),
        Select::Ends { due, limit, .. } => sqlx::query(sql.claim_ends.clone()).bind(due).bind(limit),
        Select::Brief { after, until, limit, .. } => {
            sqlx::query(sql.claim_short.clone()).bind(after).bind(until).bind(limit)
        }
        Select::Due { at, limit } => sqlx::query(sql.due.clone()).bind(at).bind(limit),
        Select::Expired { at, limit } => sqlx::query(sql.expired.clone()).bind(at).bind(limit),
    };
    let rows = query.fetch_all(&mut *conn).await?;
    change_rows(conn, sql, &rows, f).await
}

/// Changes the tasks in rows that were read in this transaction, leaving those that refuse.
pub(super) async fn change_rows(
    conn: &mut AnyConnection,
    sql: &Sql,
    rows: &[AnyRow],
    f: &Change,
) -> sqlx::Result<Vec<Changed>> {
    let mut written = Vec::with_capacity(rows.len());
    for row in rows {
        let mut task = row::task(row)?;
        if let Ok(change) = f(&mut task) {
            task.version += 1;
            written.push((Arc::new(task), change));
        }
    }
    if !written.is_empty() {
        lines::update(conn, sql, &written).await?;
    }
    Ok(written)
}

/// The run that holds `key` still holds the task.
pub(super) fn check_fence(task: &Task, key: FenceToken) -> Result<(), Refusal> {
    if task.epoch == key.epoch && task.owner.is_some() { Ok(()) } else { Err(Refusal::LeaseLost) }
}
