//! Taking tasks: what waits for an end first, then what is queued, as far as slots are free.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::drive::Place;
use super::{Runner, drive};
use crate::store;
use crate::task::Task;

/// Ends that are taken at once; they need no slot.
const ENDS: usize = 64;

/// The longest time between two looks, for what no wakeup told of.
const LOOK: Duration = Duration::from_secs(1);

/// Takes what there is at every ring, until the node ends.
pub(super) async fn keep(runner: Runner) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        if let Err(error) = take(&runner).await {
            tracing::warn!(%error, "store unavailable; retrying to claim tasks");
        }
        tokio::select! {
            () = inner.wakeups.work.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = inner.ending.cancelled() => {}
        }
    }
}

async fn take(runner: &Runner) -> Result<(), store::Error> {
    let inner = &runner.0;
    let node = &inner.settings.node;
    let ends = inner.store.claim_ends(node, inner.clock.now(), ENDS).await?;
    runner.work_on(ends, |_| Place::None).await?;
    let mut permits = free(runner);
    if permits.is_empty() {
        return Ok(());
    }
    let tasks = inner.store.claim(node, inner.clock.now(), permits.len()).await?;
    runner.work_on(tasks, |_| permits.pop().map_or(Place::None, Place::Slot)).await
}

fn free(runner: &Runner) -> Vec<OwnedSemaphorePermit> {
    std::iter::from_fn(|| Arc::clone(&runner.0.slots).try_acquire_owned().ok()).collect()
}

impl Runner {
    /// Works on tasks that this node has just claimed. They are entered before the loop goes on: a shutdown that waits for
    /// the loop finds every run.
    pub(super) async fn work_on(
        &self,
        tasks: Vec<Arc<Task>>,
        mut place: impl FnMut(&Task) -> Place,
    ) -> Result<(), store::Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        let signals: Vec<_> = tasks.iter().map(|task| self.0.registry.enter(task)).collect();
        for (task, signal) in tasks.iter().zip(signals) {
            self.0.runs.spawn(drive::drive(self.clone(), Arc::clone(task), place(task), signal));
        }
        // What was asked between the claim and the entry rang for nobody.
        self.0.store.changed_since(&tasks).await?.iter().for_each(|task| self.0.registry.observe(task));
        Ok(())
    }
}
