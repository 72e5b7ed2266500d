//! Finished tasks that are deleted when their time has come.

use std::sync::Arc;

use jiff::Timestamp;

use super::op::Op;
use super::{Error, Store, lines, row};
use crate::task::{Task, TaskId};

impl Store {
    /// Tasks that were over before that moment, those over for longest first.
    #[tracing::instrument(target = "otlp.store", name = "store.finished", skip_all)]
    pub async fn finished(&self, before: Timestamp, limit: u32) -> Result<Vec<Arc<Task>>, Error> {
        let query = sqlx::query(self.sql.finished.clone()).bind(before.as_microsecond()).bind(i64::from(limit));
        let rows = self.read(query.fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(|row| row::task(row).map(Arc::new)).collect::<sqlx::Result<_>>()?)
    }

    /// When the task that has been over for longest was over.
    #[tracing::instrument(target = "otlp.store", name = "store.next_finished", skip_all)]
    pub async fn next_finished(&self) -> Result<Option<Timestamp>, Error> {
        self.next(&self.sql.next_finished).await
    }

    /// Forgets those of these short tasks that are over still: nothing else is kept of them.
    #[tracing::instrument(target = "otlp.store", name = "store.forget_short", skip_all)]
    pub async fn forget_short(&self, ids: &[TaskId]) -> Result<(), Error> {
        let ids: Vec<_> = ids.iter().map(TaskId::to_string).collect();
        let (ids, sql) = (lines::json(&ids)?, self.sql.forget_short.clone());
        self.write(Op::transaction(move |conn| {
            let query = sqlx::query(sql.clone()).bind(ids.clone());
            Box::pin(async move { query.execute(conn).await.map(drop) })
        }))
        .await
    }
}
