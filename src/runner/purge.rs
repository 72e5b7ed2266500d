//! Deletes finished tasks: the row first, then the files and data. Any node retries what could not be removed or what a crash
//! left, each task by itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::Runner;
use super::deletion::sleep_until_next;
use super::kind::Failure;
use super::registry::RunSignal;
use crate::access::Caller;
use crate::store;
use crate::task::{State, Task};

/// Purges that are claimed at once.
const BATCH: u32 = 64;

/// Maximum time between two claims: other nodes leave purges too.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Removes what deleted tasks left, until the node shuts down.
pub(super) async fn run_purge_loop(runner: Runner) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        let outcome = purge_due(&runner).await;
        sleep_until_next(&runner, Duration::ZERO, "what deleted tasks left", outcome).await;
    }
}

/// Removes what is due. Returns when the next purge is.
async fn purge_due(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    loop {
        let tasks = inner.store.claim_purges(inner.clock.now(), BATCH).await?;
        for task in &tasks {
            runner.purge(task).await;
        }
        if tasks.len() < BATCH as usize || inner.ending.is_cancelled() {
            let latest = inner.clock.now().checked_add(POLL_INTERVAL).unwrap_or(Timestamp::MAX);
            return Ok(Some(inner.store.next_purge().await?.map_or(latest, |next| next.min(latest))));
        }
    }
}

impl Runner {
    /// Deletes a finished task, then its files and what a failed task left. Returns false if the task changed meanwhile. Files
    /// that cannot be removed now are removed later.
    ///
    /// # Errors
    /// If the store fails. Nothing is deleted then.
    pub async fn delete(&self, caller: &Caller, task: &Arc<Task>) -> Result<bool, store::Error> {
        let deleted = self.0.store.delete(caller, task, self.0.clock.now()).await?;
        if deleted {
            self.purge(task).await;
        }
        Ok(deleted)
    }

    async fn purge(&self, task: &Arc<Task>) {
        let removed = match self.remove_data(task).await {
            Ok(()) => self.0.store.purged(task.id).await.map_err(|error| error.to_string()),
            Err(failure) => Err(failure.to_string()),
        };
        if let Err(error) = removed {
            tracing::warn!(task = %task.id, kind = task.kind, error, "could not remove the files of a deleted task; retrying later");
        }
    }

    /// Removes a deleted task's files and data. Idempotent.
    async fn remove_data(&self, task: &Arc<Task>) -> Result<(), Failure> {
        if let Some(kind) = self.kind(&task.kind) {
            let (_signal, receiver) = watch::channel(RunSignal::Continue);
            let context = self.context(task, receiver);
            if task.state == State::Failed {
                kind.rollback(&context).await?;
            }
            kind.purge(&context).await?;
        }
        let lost = |error| Failure::io("the task's files", &error);
        self.0.files.delete_task(task.id).await.map_err(lost)
    }
}
