//! Claims long tasks: first those that wait for an end, then queued ones while slots are free.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::drive::RunPermit;
use super::node_lease::RunLease;
use super::{Runner, drive};
use crate::database::log_failure;
use crate::spawn::spawn_tracked;
use crate::store;
use crate::task::Task;

/// Maximum number of ends that are claimed at once. They need no slot.
const ENDS: usize = 64;

/// Maximum time between two reads of the store, for changes without a wake-up.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum time between two claims: slots that become free meanwhile are filled by one.
const CLAIM_INTERVAL: Duration = Duration::from_millis(5);

/// State of the loop between two claims.
struct ClaimState {
    /// More tasks may be queued than were claimed.
    more: bool,
    /// Time of the next read of the store without a wake-up.
    poll: Instant,
}

/// Claims tasks at every wake-up, until the node shuts down.
pub(super) async fn run_claim_loop(runner: Runner) {
    let inner = &runner.0;
    let mut state = ClaimState { more: true, poll: Instant::now() };
    while !inner.ending.is_cancelled() {
        let begin = Instant::now();
        if let Err(error) = claim_long(&runner, &mut state).await {
            inner.unanswered_claims.notify_one();
            // Not `until_available`: a wake-up or a shutdown ends the wait for the next attempt.
            log_failure!(error, %error, "store unavailable; retrying to claim tasks");
        }
        let wake_up = async {
            tokio::time::sleep_until(begin + CLAIM_INTERVAL).await;
            inner.wakeups.work.notified().await;
        };
        tokio::select! {
            () = wake_up => {}
            () = tokio::time::sleep_until(state.poll) => {}
            () = inner.ending.cancelled() => {}
        }
    }
}

/// Claims what may wait, as far as is known without asking the store.
async fn claim_long(runner: &Runner, state: &mut ClaimState) -> Result<(), store::Error> {
    let _claims = runner.0.claims.read().await;
    let work = &runner.0.wakeups.work;
    let polls = Instant::now() >= state.poll;
    if polls {
        state.poll = Instant::now() + POLL_INTERVAL;
    }
    if work.take_ends() || polls {
        claim_ends(runner).await?;
    }
    state.more |= work.take_queued() || polls;
    if state.more {
        state.more = claim_queued(runner).await?;
    }
    Ok(())
}

async fn claim_ends(runner: &Runner) -> Result<(), store::Error> {
    let inner = &runner.0;
    let lease = inner.lease.current();
    let ends = inner.store.claim_ends(&inner.claimant, inner.clock.now(), ENDS).await?;
    runner.start_runs(ends, &lease, |_| RunPermit::None).await
}

/// Claims queued tasks while slots are free. Returns true if there may be more.
async fn claim_queued(runner: &Runner) -> Result<bool, store::Error> {
    let inner = &runner.0;
    let mut slots = free_slots(runner);
    if slots.is_empty() {
        return Ok(true);
    }
    let leaves = inner.full_disk.leaves_to_others(&inner.files.scratch).await;
    let claimant = if leaves { &inner.diskless_claimant } else { &inner.claimant };
    let lease = inner.lease.current();
    let tasks = inner.store.claim(claimant, inner.clock.now(), slots.len()).await?;
    let more = tasks.len() == slots.len();
    runner.start_runs(tasks, &lease, |_| slots.pop().map_or(RunPermit::None, RunPermit::Slot)).await?;
    Ok(more)
}

fn free_slots(runner: &Runner) -> Vec<OwnedSemaphorePermit> {
    std::iter::from_fn(|| Arc::clone(&runner.0.slots).try_acquire_owned().ok()).collect()
}

impl Runner {
    /// Starts the runs of tasks that this node has just claimed, under the lease that it had before. They are registered before this returns: a shutdown that
    /// waits for the claiming loop finds every run.
    pub(super) async fn start_runs(
        &self,
        tasks: Vec<Arc<Task>>,
        lease: &RunLease,
        mut permit: impl FnMut(&Task) -> RunPermit,
    ) -> Result<(), store::Error> {
        if tasks.is_empty() {
            return Ok(());
        }
        let signals: Vec<_> = tasks.iter().map(|task| self.0.registry.insert(task)).collect();
        for (task, signal) in tasks.iter().zip(signals) {
            let context = self.context(task, lease.clone(), signal);
            spawn_tracked(&self.0.runs, drive::drive(self.clone(), context, permit(task), Arc::clone(task)));
        }
        // Requests between the claim and the registration were observed by no run.
        self.0.store.changed_since(&tasks).await?.iter().for_each(|task| self.0.registry.observe(task));
        Ok(())
    }
}
