//! Deleted tasks whose files and data are still to be removed.
//!
//! One transaction deletes the row of a task and adds its purge. So a task that is resumed meanwhile is not deleted, a deleted
//! task is never resumed, and no crash leaves files behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::sql::{self, Sql};
use super::write::Write;
use super::{Claimant, Error, Store, lines, row, uploads};
use crate::access::Caller;
use crate::task::{NewTask, Task, TaskId, Unit};

/// Time that a node has for a purge before another node may claim it. Doubles with each failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Number of IDs in one question.
const IDS: usize = 1000;

/// Maximum time between two attempts.
const LONGEST: Duration = Duration::from_secs(3600);

impl Store {
    /// Deletes a finished task and records that its files and data are to be removed. The caller removes them within a minute
    /// and then calls [`Store::purged`]. `at` becomes the time at which the upload of the task was last used.
    /// False if the task has changed since it was read, or is not finished.
    #[tracing::instrument(target = "otlp.store", name = "store.delete", skip_all, fields(%caller))]
    pub async fn delete(&self, caller: &Caller, task: &Task, at: Timestamp) -> Result<bool, Error> {
        let deletion = Deletion { id: task.id.to_string(), version: task.version, upload: task.upload.clone(), at };
        self.write(Write::transaction(deletion, delete)).await
    }

    /// Claims at most `limit` purges that are due and whose kinds the claimant knows, oldest first. No other node claims them for a
    /// while.
    #[tracing::instrument(target = "otlp.store", name = "store.claim_purges", skip_all)]
    pub async fn claim_purges(
        &self,
        claimant: &Claimant,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<Task>>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.write(Write::transaction((claimant.kinds.clone(), now, limit), claim)).await
    }

    /// Records that the files and data of the deleted task are removed.
    #[tracing::instrument(target = "otlp.store", name = "store.purged", skip_all)]
    pub async fn purged(&self, id: TaskId) -> Result<(), Error> {
        self.execute(move || sqlx::query(sql::PURGED).bind(id.to_string())).await.map(drop)
    }

    /// Returns those of the tasks that do not exist (any more).
    #[tracing::instrument(target = "otlp.store", name = "store.missing", skip_all)]
    pub async fn missing(&self, ids: Vec<TaskId>) -> Result<Vec<TaskId>, Error> {
        let mut missing = Vec::new();
        for part in ids.chunks(IDS) {
            let texts: Vec<_> = part.iter().map(ToString::to_string).collect();
            let query = sqlx::query(self.sql.versions.clone()).bind(lines::json(&texts)?);
            let rows = self.read(query.fetch_all(&self.pool)).await?;
            let found = rows.iter().map(row::id).collect::<sqlx::Result<HashSet<_>>>()?;
            missing.extend(part.iter().filter(|id| !found.contains(id)));
        }
        Ok(missing)
    }

    /// Returns when the next purge is due whose kind the claimant knows.
    #[tracing::instrument(target = "otlp.store", name = "store.next_purge", skip_all)]
    pub async fn next_purge(&self, claimant: &Claimant) -> Result<Option<Timestamp>, Error> {
        self.next(sqlx::query(self.sql.next_purge.clone()).bind(claimant.kinds.clone())).await
    }
}

/// A task to be deleted, as it was read.
struct Deletion {
    id: String,
    version: i64,
    upload: Option<String>,
    at: Timestamp,
}

async fn delete(conn: &mut AnyConnection, sql: &Sql, deletion: &Deletion) -> sqlx::Result<bool> {
    let Deletion { id, version, upload, at } = deletion;
    let due = moment_after(*at, PATIENCE);
    let add = sqlx::query(sql::ADD_PURGE).bind(id.clone()).bind(*version).bind(due);
    if add.execute(&mut *conn).await?.rows_affected() != 1 {
        return Ok(false);
    }
    sqlx::query(sql.delete.clone()).bind(id.clone()).bind(*version).execute(&mut *conn).await?;
    uploads::used(upload.clone(), *at).execute(conn).await?;
    Ok(true)
}

async fn claim(
    conn: &mut AnyConnection,
    sql: &Sql,
    (kinds, now, limit): &(String, Timestamp, i64),
) -> sqlx::Result<Vec<Arc<Task>>> {
    let query = sqlx::query(sql.due_purges.clone());
    let query = query.bind(now.as_microsecond()).bind(*limit).bind(kinds.clone());
    let mut tasks = Vec::new();
    for row in query.fetch_all(&mut *conn).await? {
        let failures = u32::try_from(row.try_get::<i64, _>("failures")?).unwrap_or(u32::MAX);
        let delay = PATIENCE.saturating_mul(2_u32.saturating_pow(failures.min(20))).min(LONGEST);
        let task = deleted(&row)?;
        let claimed = sqlx::query(sql::DEFER_PURGE).bind(task.id.to_string()).bind(moment_after(*now, delay));
        claimed.execute(&mut *conn).await?;
        tasks.push(Arc::new(task));
    }
    Ok(tasks)
}

/// The deleted task, with what its kind needs to remove its files and data.
fn deleted(row: &AnyRow) -> sqlx::Result<Task> {
    let (kind, spec): (String, String) = (row.try_get("kind")?, row.try_get("spec")?);
    let new = NewTask::new(kind, spec, Unit::Bytes);
    let (state, cursor, epoch) = (row::parsed(row, "state")?, row.try_get("cursor")?, row.try_get("epoch")?);
    Ok(Task { state, cursor, epoch, ..Task::new(row::id(row)?, new, Timestamp::UNIX_EPOCH) })
}

fn moment_after(now: Timestamp, delay: Duration) -> i64 {
    now.checked_add(delay).unwrap_or(Timestamp::MAX).as_microsecond()
}
