//! Taking tasks: what waits for an end first, then what is queued, as far as slots are free.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Runner, drive};
use crate::store;
use crate::task::Task;

/// Ends that are taken at once; they need no slot.
const ENDS: usize = 64;

/// The longest time between two looks, for what no bell told of.
const LOOK: Duration = Duration::from_secs(1);

/// Takes what there is at every ring, until the node ends.
pub(super) async fn keep(runner: Runner) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        if let Err(error) = take(&runner).await {
            tracing::warn!(%error, "no task can be taken for the moment");
        }
        tokio::select! {
            () = inner.bells.work.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = inner.ending.cancelled() => {}
        }
    }
}

async fn take(runner: &Runner) -> Result<(), store::Error> {
    let inner = &runner.0;
    let node = &inner.settings.node;
    for task in inner.store.claim_ends(node, inner.clock.now(), ENDS).await? {
        spawn(runner, task, None);
    }
    let mut permits = free(runner);
    if permits.is_empty() {
        return Ok(());
    }
    for task in inner.store.claim(node, inner.clock.now(), permits.len()).await? {
        spawn(runner, task, permits.pop());
    }
    Ok(())
}

fn free(runner: &Runner) -> Vec<OwnedSemaphorePermit> {
    std::iter::from_fn(|| Arc::clone(&runner.0.slots).try_acquire_owned().ok()).collect()
}

fn spawn(runner: &Runner, task: Arc<Task>, permit: Option<OwnedSemaphorePermit>) {
    // Entered before the loop goes on: a shutdown that waits for the loop finds every run.
    let signal = runner.0.registry.enter(&task);
    let driven = drive::drive(runner.clone(), task, signal);
    runner.0.runs.spawn(async move {
        driven.await;
        drop(permit);
    });
}
