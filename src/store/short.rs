//! Verbs of short tasks, thousands of which are claimed each second.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row;

use super::change::Select;
use super::{Claimant, Error, Store, lines, row};
use crate::access::Caller;
use crate::task::{Task, TaskId};

/// Versions that are read by one statement.
const VERSIONS: usize = 1000;

/// A range of due times.
#[derive(Clone, Copy, Debug)]
pub struct DueWindow {
    /// Exclusive start.
    pub after: Timestamp,
    /// Inclusive end.
    pub until: Timestamp,
}

/// Decision about a short task that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimDecision {
    /// The node claims the task.
    Take,
    /// The concurrency key of the task is at its limit. The task becomes due at this moment.
    Defer(Timestamp),
}

impl Store {
    /// Claims or defers at most `limit` short tasks that are due in `window`, earliest first, as `choose` decides. Returns the
    /// claimed ones, which are RUNNING, and the deferred ones.
    #[tracing::instrument(target = "otlp.store", name = "store.claim_short", skip_all)]
    pub async fn claim_short<F>(
        &self,
        claimant: &Claimant,
        now: Timestamp,
        window: DueWindow,
        limit: usize,
        choose: F,
    ) -> Result<Vec<Arc<Task>>, Error>
    where
        F: Fn(&Task) -> ClaimDecision + Send + Sync + 'static,
    {
        let (after, until) = (window.after.as_microsecond(), window.until.as_microsecond());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let node = claimant.node.clone();
        let select = Select::Short { claimant: claimant.clone(), after, until, limit };
        let take = move |task: &mut Task| match choose(task) {
            ClaimDecision::Take => task.claim(&node, now),
            ClaimDecision::Defer(until) => {
                task.defer(until);
                Ok(None)
            }
        };
        self.change_all(select, take).await
    }

    /// Returns when the next short task is due that the claimant can run.
    #[tracing::instrument(target = "otlp.store", name = "store.next_short", skip_all)]
    pub async fn next_short(&self, claimant: &Claimant) -> Result<Option<Timestamp>, Error> {
        self.next(sqlx::query(self.sql.next_short.clone()).bind(claimant.kinds.clone())).await
    }

    /// Reads those of the tasks that have changed since they were read.
    pub async fn changed_since(&self, known: &[Arc<Task>]) -> Result<Vec<Arc<Task>>, Error> {
        self.newer(&known.iter().map(|task| (task.id, task.version)).collect::<Vec<_>>()).await
    }

    /// Reads those of the tasks that have newer versions than these.
    #[tracing::instrument(target = "otlp.store", name = "store.newer", skip_all)]
    pub async fn newer(&self, known: &[(TaskId, i64)]) -> Result<Vec<Arc<Task>>, Error> {
        let mut newer = Vec::new();
        for part in known.chunks(VERSIONS) {
            newer.extend(self.newer_of(part).await?);
        }
        Ok(newer)
    }

    async fn newer_of(&self, known: &[(TaskId, i64)]) -> Result<Vec<Arc<Task>>, Error> {
        let versions: HashMap<_, _> = known.iter().copied().collect();
        let ids: Vec<_> = known.iter().map(|(id, _)| id.to_string()).collect();
        let rows =
            self.read(sqlx::query(self.sql.versions.clone()).bind(lines::json(&ids)?).fetch_all(&self.pool)).await?;
        let mut newer = Vec::new();
        for row in &rows {
            let (id, version) = (row::id(row)?, row.try_get::<i64, _>("version")?);
            if versions.get(&id).is_some_and(|known| version > *known) {
                newer.extend(self.get(&Caller::system(), id).await?);
            }
        }
        Ok(newer)
    }
}
