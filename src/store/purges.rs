//! Deleted tasks whose files and data are still to be removed.
//!
//! The row of the task and its purge change in one transaction. So a task that is resumed meanwhile is not deleted, a
//! deleted one is never resumed, and no crash leaves its files behind.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::sql::{self, Sql};
use super::{Error, Op, Store, row, uploads};
use crate::task::{NewTask, Task, TaskId, Unit};

/// How long a node has for a purge before another one may take it; each failure doubles that.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_secs(3600);

impl Store {
    /// Deletes a finished task if it still is as it was read, and notes that its files and data are to be removed: the
    /// caller does that within a minute, and then calls [`Store::purged`]. What the task read was used until `at`.
    /// False if the task changed meanwhile, or is not finished.
    #[tracing::instrument(target = "otlp.store", name = "store.delete", skip_all)]
    #[tracing::instrument(target = "otlp.store", name = "store.delete", skip_all)]
    pub async fn delete(&self, task: &Task, at: Timestamp) -> Result<bool, Error> {
        let (id, version, upload) = (task.id.to_string(), task.version, task.upload.clone());
        let (due, delete) = (moment_after(at, PATIENCE), self.sql.delete.clone());
        self.write(Op::transaction(move |conn| {
            let add = sqlx::query(sql::ADD_PURGE).bind(id.clone()).bind(version).bind(due);
            let (delete, used) =
                (sqlx::query(delete.clone()).bind(id.clone()).bind(version), uploads::used(upload.clone(), at));
            Box::pin(async move {
                let noted = add.execute(&mut *conn).await?.rows_affected() == 1;
                if noted {
                    delete.execute(&mut *conn).await?;
                    used.execute(conn).await?;
                }
                Ok(noted)
            })
        }))
        .await
    }

    /// Takes at most `limit` purges that are due, the oldest first: no other node takes them for a while.
    #[tracing::instrument(target = "otlp.store", name = "store.claim_purges", skip_all)]
    #[tracing::instrument(target = "otlp.store", name = "store.claim_purges", skip_all)]
    pub async fn claim_purges(&self, now: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        let sql = Arc::clone(&self.sql);
        self.write(Op::transaction(move |conn| {
            let sql = Arc::clone(&sql);
            Box::pin(async move { claim(conn, &sql, now, limit).await })
        }))
        .await
    }

    /// The files and data of the deleted task are removed.
    #[tracing::instrument(target = "otlp.store", name = "store.purged", skip_all)]
    #[tracing::instrument(target = "otlp.store", name = "store.purged", skip_all)]
    pub async fn purged(&self, id: TaskId) -> Result<(), Error> {
        let id = id.to_string();
        self.write(Op::transaction(move |conn| {
            let query = sqlx::query(sql::PURGED).bind(id.clone());
            Box::pin(async move { query.execute(conn).await.map(drop) })
        }))
        .await
    }

    /// When the next purge is due.
    #[tracing::instrument(target = "otlp.store", name = "store.next_purge", skip_all)]
    #[tracing::instrument(target = "otlp.store", name = "store.next_purge", skip_all)]
    pub async fn next_purge(&self) -> Result<Option<Timestamp>, Error> {
        let row = self.read(sqlx::query(sql::NEXT_PURGE).fetch_one(&self.pool)).await?;
        Ok(row::moment_if(&row, "due_at")?)
    }
}

async fn claim(conn: &mut AnyConnection, sql: &Sql, now: Timestamp, limit: u32) -> sqlx::Result<Vec<Arc<Task>>> {
    let query = sqlx::query(sql.due_purges.clone()).bind(now.as_microsecond()).bind(i64::from(limit));
    let mut tasks = Vec::new();
    for row in query.fetch_all(&mut *conn).await? {
        let failures = u32::try_from(row.try_get::<i64, _>("failures")?).unwrap_or(u32::MAX);
        let delay = PATIENCE.saturating_mul(2_u32.saturating_pow(failures.min(20))).min(LONGEST);
        let task = deleted(&row)?;
        let claimed = sqlx::query(sql::DEFER_PURGE).bind(task.id.to_string()).bind(moment_after(now, delay));
        claimed.execute(&mut *conn).await?;
        tasks.push(Arc::new(task));
    }
    Ok(tasks)
}

/// The deleted task, as far as its kind needs it to remove what is left.
fn deleted(row: &AnyRow) -> sqlx::Result<Task> {
    let (kind, spec): (String, String) = (row.try_get("kind")?, row.try_get("spec")?);
    let new = NewTask::new(kind, spec, Unit::Bytes);
    let (state, cursor, epoch) = (row::parsed(row, "state")?, row.try_get("cursor")?, row.try_get("epoch")?);
    Ok(Task { state, cursor, epoch, ..Task::new(row::id(row)?, new, Timestamp::UNIX_EPOCH) })
}

fn moment_after(now: Timestamp, delay: Duration) -> i64 {
    now.checked_add(delay).unwrap_or(Timestamp::MAX).as_microsecond()
}
