//! Deletes finished tasks: the row first, then the files and data. Any node retries what could not be removed or what a crash
//! left, each task separately.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::Runner;
use super::deletion::sleep_until_next;
use super::kind::{Failure, Kind};
use super::kind_calls::{self, KindCall};
use super::registry::{RunSignal, RunSignals};
use crate::access::Caller;
use crate::spawn::spawn_tracked;
use crate::store;
use crate::task::{State, Task};

/// Maximum number of purges that a node makes at once: one that hangs does not stop the others.
pub(super) const AT_ONCE: usize = 8;

/// Time after which a purge that does not end frees its permit for others. It continues, and is repeated later.
const MAX_TIME: Duration = Duration::from_secs(600);

/// Maximum time for which a deletion waits for its purge, and for other purges before it.
const MAX_WAIT: Duration = Duration::from_secs(1);

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

/// Begins to remove what is due. Returns when the next purge is.
async fn purge_due(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    let latest = inner.clock.now().checked_add(POLL_INTERVAL).unwrap_or(Timestamp::MAX);
    loop {
        let first = tokio::select! {
            permit = Arc::clone(&inner.purging).acquire_owned() => permit.ok(),
            () = inner.ending.cancelled() => return Ok(Some(latest)),
        };
        let mut free: Vec<_> = first.into_iter().chain(free_permits(&inner.purging)).collect();
        let tasks = inner.store.claim_purges(&inner.claimant, inner.clock.now(), free.len()).await?;
        if tasks.is_empty() {
            return Ok(Some(inner.store.next_purge(&inner.claimant).await?.map_or(latest, |next| next.min(latest))));
        }
        for (task, permit) in tasks.into_iter().zip(free.drain(..)) {
            runner.spawn_purge(task, permit);
        }
    }
}

fn free_permits(permits: &Arc<Semaphore>) -> impl Iterator<Item = OwnedSemaphorePermit> {
    std::iter::from_fn(|| Arc::clone(permits).try_acquire_owned().ok())
}

impl Runner {
    /// Deletes a finished task, then its files and what a failed task left. Returns false if the task changed meanwhile. Files
    /// that are not removed within a second are removed later.
    ///
    /// # Errors
    /// If the store fails. Nothing is deleted then.
    pub async fn delete(&self, caller: &Caller, task: &Arc<Task>) -> Result<bool, store::Error> {
        let deleted = self.0.store.delete(caller, task, self.0.clock.now()).await?;
        if deleted {
            let purge = async {
                if let Ok(permit) = Arc::clone(&self.0.purging).acquire_owned().await {
                    self.spawn_purge(Arc::clone(task), permit).notified().await;
                }
            };
            // A deletion that takes longer continues, or is made later.
            let _ = tokio::time::timeout(MAX_WAIT, purge).await;
        }
        Ok(deleted)
    }

    /// Does the same, but does not wait until the files are removed.
    pub(super) async fn delete_quickly(&self, task: &Arc<Task>) -> Result<bool, store::Error> {
        let deleted = self.0.store.delete(&Caller::system(), task, self.0.clock.now()).await?;
        if deleted && let Some(permit) = self.purge_permit().await {
            self.spawn_purge(Arc::clone(task), permit);
        }
        Ok(deleted)
    }

    /// Returns the right to purge a task, unless too many purges take too long.
    async fn purge_permit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.0.purging).acquire_owned();
        tokio::time::timeout(MAX_WAIT, permit).await.ok()?.ok()
    }

    /// Purges the task. The returned value is notified at the end.
    fn spawn_purge(&self, task: Arc<Task>, permit: OwnedSemaphorePermit) -> Arc<Notify> {
        let (runner, ended) = (self.clone(), Arc::new(Notify::new()));
        let end = Arc::clone(&ended);
        spawn_tracked(&self.0.loops, async move {
            tokio::select! {
                () = runner.purge(&task) => {}
                // Another node, or the next start, makes it again.
                () = runner.0.ending.cancelled() => {}
            }
            drop(permit);
            end.notify_one();
        });
        ended
    }

    async fn purge(&self, task: &Arc<Task>) {
        let Some(kind) = self.kind(&task.kind) else {
            tracing::info!(task = %task.id, kind = task.kind, "left the files of a deleted task to a node that knows its kind");
            return;
        };
        let removed = match tokio::time::timeout(MAX_TIME, self.remove_data(kind, task)).await {
            Ok(Ok(())) => self.0.store.purged(task.id).await.map_err(|error| error.to_string()),
            Ok(Err(failure)) => Err(failure.to_string()),
            Err(_) => Err(format!("it takes more than {} seconds", MAX_TIME.as_secs())),
        };
        if let Err(error) = removed {
            tracing::warn!(task = %task.id, kind = task.kind, error, "could not remove the files of a deleted task; retrying later");
        }
    }

    /// Removes a deleted task's files and data. Idempotent.
    async fn remove_data(&self, kind: &Arc<dyn Kind>, task: &Arc<Task>) -> Result<(), Failure> {
        let (_signal, signal) = watch::channel(RunSignal::Continue);
        let (_rate, rate) = watch::channel(None);
        let context = self.context(task, self.0.lease.current(), RunSignals { signal, rate });
        if task.state == State::Failed {
            kind_calls::call(kind, &context, KindCall::RollBack).await?;
        }
        kind_calls::call(kind, &context, KindCall::Purge).await?;
        let lost = |error| Failure::io("the task's files", &error);
        self.0.files.delete_task(task.id).await.map_err(lost)
    }
}
