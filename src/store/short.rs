//! Short tasks, which are taken by the thousand each second.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row;

use super::write::Select;
use super::{Error, Store, lines, row};
use crate::task::Task;

/// Which short tasks are looked at: those that are due after the one moment and not after the other.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// Not these any more.
    pub after: Timestamp,
    /// The last of these.
    pub until: Timestamp,
}

/// What becomes of a short task that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This node takes it.
    Take,
    /// Its lane is full: it is looked at again then.
    PutOff(Timestamp),
}

impl Store {
    /// Looks at no more than `limit` short tasks of these moments, the earliest first: takes or puts off each as `choose`
    /// says. Answers both; those that were taken are RUNNING.
    #[tracing::instrument(target = "otlp.store", name = "store.claim_short", skip_all)]
    pub async fn claim_short<F>(
        &self,
        node: &str,
        now: Timestamp,
        moments: Moments,
        limit: usize,
        choose: F,
    ) -> Result<Vec<Arc<Task>>, Error>
    where
        F: Fn(&Task) -> Choice + Send + Sync + 'static,
    {
        let (after, until) = (moments.after.as_microsecond(), moments.until.as_microsecond());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let node = node.to_owned();
        let select = Select::Brief { node: node.clone(), after, until, limit };
        let take = move |task: &mut Task| match choose(task) {
            Choice::Take => task.claim(&node, now),
            Choice::PutOff(until) => {
                task.put_off(until);
                Ok(None)
            }
        };
        self.change_all(select, take).await
    }

    /// When the next short task is due.
    #[tracing::instrument(target = "otlp.store", name = "store.next_short", skip_all)]
    pub async fn next_short(&self) -> Result<Option<Timestamp>, Error> {
        self.next(&self.sql.next_short).await
    }

    /// Those of the tasks that changed since they were read, as they are now.
    #[tracing::instrument(target = "otlp.store", name = "store.changed_since", skip_all)]
    pub async fn changed_since(&self, known: &[Arc<Task>]) -> Result<Vec<Arc<Task>>, Error> {
        let versions: HashMap<_, _> = known.iter().map(|task| (task.id, task.version)).collect();
        let ids: Vec<_> = known.iter().map(|task| task.id.to_string()).collect();
        let rows =
            self.read(sqlx::query(self.sql.versions.clone()).bind(lines::json(&ids)?).fetch_all(&self.pool)).await?;
        let mut newer = Vec::new();
        for row in &rows {
            let (id, version) = (row::id(row)?, row.try_get::<i64, _>("version")?);
            if versions.get(&id).is_some_and(|known| version > *known) {
                newer.extend(self.get(id).await?);
            }
        }
        Ok(newer)
    }
}
