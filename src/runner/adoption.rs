//! Runs the tasks that this node has claimed without knowing it: the claim was committed, and its answer was lost. No other node takes
//! them while this one renews its lease.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Runner;
use super::drive::RunPermit;
use super::short::key_of;
use crate::database::CALL_LIMIT;
use crate::retry::until_available;
use crate::store;
use crate::task::Task;

/// Maximum time after which a claim without an answer is committed, if it is.
const COMMIT_DELAY: Duration = CALL_LIMIT.saturating_mul(2);

/// Looks for such tasks after each claim without an answer, until the node shuts down.
pub(super) async fn run_adoption_loop(runner: Runner) {
    let inner = &runner.0;
    loop {
        tokio::select! {
            () = inner.unanswered_claims.notified() => {}
            () = inner.ending.cancelled() => return,
        }
        for delay in [Duration::ZERO, COMMIT_DELAY] {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = inner.ending.cancelled() => return,
            }
            // The failure of the claim is logged.
            until_available(
                || adopt(&runner),
                |error| tracing::debug!(%error, "store unavailable; retrying to find the tasks of this node"),
            )
            .await;
        }
    }
}

/// Runs the tasks of this node that have no run, unless the node shuts down.
async fn adopt(runner: &Runner) -> Result<(), store::Error> {
    let inner = &runner.0;
    let _no_claims = inner.claims.write().await;
    if inner.ending.is_cancelled() {
        return Ok(());
    }
    // A run that is not among these has ended, and so has its ownership. None begins meanwhile.
    let running: HashSet<_> = inner.registry.versions().into_iter().map(|(id, _)| id).collect();
    let lease = inner.lease.current();
    let mut tasks = inner.store.owned(&inner.claimant.node.id).await?;
    tasks.retain(|task| !running.contains(&task.id));
    for task in &tasks {
        let (kind, state, epoch) = (&*task.kind, task.state, task.epoch);
        tracing::info!(task = %task.id, kind, %state, epoch, "{kind} was claimed, but the answer was lost; running it");
    }
    runner.start_runs(tasks, &lease, |task| permit(runner, task)).await
}

/// Returns the right to run. A long task runs even if its slot was given to another one meanwhile.
fn permit(runner: &Runner, task: &Task) -> RunPermit {
    let inner = &runner.0;
    match task.is_short() {
        true => RunPermit::Short(inner.reservations.reserve(key_of(task))),
        false => Arc::clone(&inner.slots).try_acquire_owned().map_or(RunPermit::None, RunPermit::Slot),
    }
}
