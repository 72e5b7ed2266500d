//! Starts of many tasks in one commit: all of them, or none.

use std::sync::Arc;

use sqlx::AnyConnection;

use super::lines::{self, LineWrite};
use super::sql::Sql;
use super::starts::{NewRow, NewRows, decide, scope};
use super::write::{Committed, Write};
use super::{Error, Started, Store};
use crate::access::Caller;
use crate::task::Task;

/// Reason for which a batch was refused.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RefusedBatch {
    /// Index of the refused task in the batch. None if the batch as a whole is refused.
    pub place: Option<usize>,
    /// The reason.
    pub error: Error,
}

impl From<Error> for RefusedBatch {
    fn from(error: Error) -> RefusedBatch {
        RefusedBatch { place: None, error }
    }
}

type BatchOutcome = Result<Vec<Started>, RefusedBatch>;

impl Store {
    /// Writes new tasks in one commit. A task whose idempotency key is known is not written; the earlier one is returned.
    ///
    /// # Errors
    /// The first task that is refused, or a failure of the store. Nothing is written then.
    #[tracing::instrument(target = "otlp.store", name = "store.create_batch", skip_all, fields(%caller))]
    pub async fn create_batch(&self, caller: &Caller, tasks: Vec<Task>, max_waiting: u64) -> BatchOutcome {
        let closed = |_| Error::Failed("the store is closed".to_owned());
        let _permit = self.batches.acquire().await.map_err(closed)?;
        let rows: Vec<_> = tasks.into_iter().map(|task| NewRow { task, by: caller.author(), max_waiting }).collect();
        let scope = scope(&rows);
        let write = Write::transaction((rows, Arc::clone(&self.backlog_limit)), create_or_refuse);
        self.commit(Write { scope, ..write }).await?
    }
}

async fn create_or_refuse(
    conn: &mut AnyConnection,
    sql: &Sql,
    (rows, backlog_limit): &NewRows,
) -> sqlx::Result<Committed<BatchOutcome>> {
    let refused = |refusal| Ok(Committed { value: Err(refusal), changes: Vec::new() });
    let (outcomes, changes) = decide(conn, sql, rows).await?;
    let at_place = |place| move |error| RefusedBatch { place: Some(place), error };
    let started = outcomes.into_iter().enumerate().map(|(place, outcome)| outcome.map_err(at_place(place)));
    let started = match started.collect() {
        Ok(started) => started,
        Err(refusal) => return refused(refusal),
    };
    if !changes.is_empty() {
        let limit = rows.iter().map(|row| row.max_waiting).min().unwrap_or(u64::MAX);
        if let Err(waiting) = backlog_limit.take_all(conn, changes.len() as u64, limit).await? {
            return refused(Error::TooBusy { waiting, limit }.into());
        }
        lines::write(conn, sql, LineWrite::Insert, &changes).await?;
    }
    Ok(Committed { value: Ok(started), changes })
}
