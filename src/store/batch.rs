//! Starts of many tasks in one commit: all of them, or none.

use std::sync::Arc;

use sqlx::AnyConnection;

use super::lines;
use super::op::{Extent, Op};
use super::sql::Sql;
use super::starts::{New, decide};
use super::{Error, Room, Started, Store};
use crate::task::Task;

/// Batches that are written at the same time. Other writes come between these and those that wait.
pub(super) const BATCHES: usize = 2;

/// Why a batch was refused.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RefusedBatch {
    /// The place of the refused task in the batch. None if the batch as a whole is refused.
    pub place: Option<usize>,
    /// The reason.
    pub error: Error,
}

impl From<Error> for RefusedBatch {
    fn from(error: Error) -> RefusedBatch {
        RefusedBatch { place: None, error }
    }
}

type Outcome = Result<Vec<Started>, RefusedBatch>;

impl Store {
    /// Writes new tasks in one commit. A task whose idempotency key is known is not written; the earlier one is returned.
    ///
    /// # Errors
    /// The first task that is refused, or a failure of the store. Nothing is written then.
    #[tracing::instrument(target = "otlp.store", name = "store.create_batch", skip_all)]
    pub async fn create_batch(&self, tasks: Vec<Task>, by: &str, max_waiting: u64) -> Outcome {
        let broken = |_| Error::Failed("the store is closed".to_owned());
        let _permit = self.batches.acquire().await.map_err(broken)?;
        let alone = tasks.iter().all(|task| task.upload.is_none());
        let news: Vec<_> = tasks.into_iter().map(|task| New { task, by: by.to_owned(), max_waiting }).collect();
        let (sql, room, news) = (Arc::clone(&self.sql), Arc::clone(&self.room), Arc::new(news));
        let starts = Arc::clone(&news);
        let op: Op<Outcome> = Op::transaction(move |conn| {
            let (sql, room, news) = (Arc::clone(&sql), Arc::clone(&room), Arc::clone(&news));
            Box::pin(async move { create(conn, &sql, &room, &news, max_waiting).await })
        });
        let extent = if alone { Extent::Statement } else { Extent::Transaction };
        let written = move |outcome: &Outcome| {
            let started = outcome.iter().flatten();
            started.zip(starts.iter()).filter_map(|(started, new)| new.written(started)).collect()
        };
        self.write_and_tell(Op { extent, ..op }, written).await?
    }
}

async fn create(
    conn: &mut AnyConnection,
    sql: &Sql,
    room: &Room,
    news: &[New],
    max_waiting: u64,
) -> sqlx::Result<Outcome> {
    let (outcomes, written) = decide(conn, sql, news).await?;
    let refused = |place| move |error| RefusedBatch { place: Some(place), error };
    let started = outcomes.into_iter().enumerate().map(|(place, outcome)| outcome.map_err(refused(place)));
    let started: Vec<_> = match started.collect() {
        Ok(started) => started,
        Err(refused) => return Ok(Err(refused)),
    };
    if written.is_empty() {
        return Ok(Ok(started));
    }
    if let Err(waiting) = room.take_all(conn, written.len() as u64, max_waiting).await? {
        return Ok(Err(Error::TooBusy { waiting, limit: max_waiting }.into()));
    }
    lines::insert(conn, sql, &written).await?;
    Ok(Ok(started))
}
