//! Finished tasks whose retention time is over.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Error, Store, lines, row};
use crate::task::{Task, TaskId};

impl Store {
    /// Returns tasks that finished after `after` and until `until`, oldest end first.
    #[tracing::instrument(target = "otlp.store", name = "store.finished", skip_all)]
    pub async fn finished(&self, after: Timestamp, until: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        let query = sqlx::query(self.sql.finished.clone());
        let query = query.bind(after.as_microsecond()).bind(until.as_microsecond()).bind(i64::from(limit));
        let rows = self.read(query.fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(|row| row::task(row).map(Arc::new)).collect::<sqlx::Result<_>>()?)
    }

    /// Returns when the first of the finished tasks finished.
    #[tracing::instrument(target = "otlp.store", name = "store.next_finished", skip_all)]
    pub async fn next_finished(&self) -> Result<Option<Timestamp>, Error> {
        self.next(sqlx::query(self.sql.next_finished.clone())).await
    }

    /// Deletes those of these short tasks that are finished. They have no files or data.
    #[tracing::instrument(target = "otlp.store", name = "store.delete_short", skip_all)]
    pub async fn delete_short(&self, ids: &[TaskId]) -> Result<(), Error> {
        let ids: Vec<_> = ids.iter().map(TaskId::to_string).collect();
        let (ids, statement) = (lines::json(&ids)?, self.sql.delete_short.clone());
        self.execute(move || sqlx::query(statement.clone()).bind(ids.clone())).await.map(drop)
    }
}
