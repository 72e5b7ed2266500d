//! The lease of this node: renews it, and rescues tasks of nodes whose leases expired.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

use super::Runner;
use super::registry::RunSignal;
use crate::database::log_failure;
use crate::store;
use crate::task::Task;

/// Renewals in one lease duration.
const RENEWALS: u32 = 3;

/// Delay after the end of another node's lease. If several nodes look at once, one of them rescues the tasks.
const RESCUE_DELAY: SignedDuration = SignedDuration::from_millis(50);

impl Runner {
    /// Rescues tasks that no living node owns, and joins the nodes.
    pub(super) async fn join_nodes(&self) -> Result<(), store::Error> {
        let (inner, settings) = (&self.0, &self.0.settings);
        let now = inner.clock.now();
        let rescued = if inner.store.is_exclusive() {
            inner.store.rescue_all(now, settings.crash_limit).await?
        } else {
            inner.store.rescue_own(&settings.node, now, settings.crash_limit).await?
        };
        log_rescued(&settings.node, &rescued);
        inner.store.join(&settings.node, now, settings.lease).await
    }
}

/// Renews the lease of this node, and rescues tasks as soon as the lease of another node expires.
pub(super) async fn run_lease_loop(runner: Runner) {
    let inner = &runner.0;
    let mut renewal = tokio::time::interval(inner.settings.lease / RENEWALS);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = None;
    loop {
        tokio::select! {
            _ = renewal.tick() => {}
            () = inner.clock.sleep_until(next.unwrap_or(Timestamp::MAX)) => {}
            () = inner.left.cancelled() => return,
        }
        next = match renew_and_rescue(&runner).await {
            Ok(end) => end.map(|end| end.max(inner.clock.now()) + RESCUE_DELAY),
            Err(error) => {
                log_failure!(error, %error, node = inner.settings.node, "could not renew the lease of this node; retrying");
                None
            }
        };
    }
}

/// Returns when the next lease of another node ends.
async fn renew_and_rescue(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let (inner, settings) = (&runner.0, &runner.0.settings);
    let now = inner.clock.now();
    if !inner.store.heartbeat(&settings.node, now, settings.lease).await? {
        tracing::warn!(node = settings.node, "lease of this node expired; stopping its runs without further writes");
        inner.metrics.lease_lost();
        inner.registry.signal_all(RunSignal::LeaseLost);
        inner.store.join(&settings.node, now, settings.lease).await?;
    }
    log_rescued(&settings.node, &inner.store.rescue(now, settings.crash_limit).await?);
    inner.store.next_lease_end(&settings.node).await
}

/// Logs rescued tasks whose state stays as it is. The others have the log line of their transition.
fn log_rescued(node: &str, tasks: &[Arc<Task>]) {
    for task in tasks.iter().filter(|task| task.state.may_be_owned()) {
        let (kind, state, epoch) = (&*task.kind, task.state, task.epoch);
        tracing::warn!(task = %task.id, kind, %state, epoch, node, "{kind} taken from a node whose lease expired");
    }
}
