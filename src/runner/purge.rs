//! Deleting finished tasks: the row at once, then the files and data. What could not be removed, or what a crash left, is
//! attempted again by any node, each task by itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::Runner;
use super::kind::Failure;
use super::registry::Signal;
use super::sweep::rest;
use crate::store;
use crate::task::{State, Task};

/// Purges that are taken at once.
const BATCH: u32 = 64;

/// The longest time between two looks: other nodes leave purges behind too.
const LOOK: Duration = Duration::from_secs(60);

/// Removes what deleted tasks left, until the node ends.
pub(super) async fn keep(runner: Runner) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        let outcome = purge_due(&runner).await;
        rest(&runner, Duration::ZERO, "what deleted tasks left", outcome).await;
    }
}

/// Removes what is due; returns when to look again.
async fn purge_due(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    loop {
        let tasks = inner.store.claim_purges(inner.clock.now(), BATCH).await?;
        for task in &tasks {
            runner.purge(task).await;
        }
        if tasks.len() < BATCH as usize || inner.ending.is_cancelled() {
            let look = inner.clock.now().checked_add(LOOK).unwrap_or(Timestamp::MAX);
            return Ok(Some(inner.store.next_purge().await?.map_or(look, |next| next.min(look))));
        }
    }
}

impl Runner {
    /// Deletes a finished task, then its files and what a failed one left. False if it changed meanwhile. Files that
    /// cannot be removed now are removed later.
    ///
    /// # Errors
    /// If the store fails; nothing is deleted then.
    pub async fn delete(&self, task: &Arc<Task>) -> Result<bool, store::Error> {
        let deleted = self.0.store.delete(task, self.0.clock.now()).await?;
        if deleted {
            self.purge(task).await;
        }
        Ok(deleted)
    }

    async fn purge(&self, task: &Arc<Task>) {
        let removed = match self.remove(task).await {
            Ok(()) => self.0.store.purged(task.id).await.map_err(|error| error.to_string()),
            Err(failure) => Err(failure.to_string()),
        };
        if let Err(error) = removed {
            tracing::warn!(task = %task.id, kind = task.kind, error, "could not remove the files of a deleted task; retrying later");
        }
    }

    /// Removes a deleted task's files and data. Doing it twice is fine.
    async fn remove(&self, task: &Arc<Task>) -> Result<(), Failure> {
        if let Some(kind) = self.kind(&task.kind) {
            let (_signal, receiver) = watch::channel(Signal::Run);
            let context = self.context(task, receiver);
            if task.state == State::Failed {
                kind.rollback(&context).await?;
            }
            kind.purge(&context).await?;
        }
        let lost = |error| Failure::io("the task's files", &error);
        self.0.files.delete_result(task.id).await.map_err(lost)?;
        self.0.files.clear_work(task.id).await.map_err(lost)
    }
}
