//! Being alive: heartbeats, and taking up what nodes left that are not.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

use super::Runner;
use super::registry::Signal;
use crate::store;
use crate::task::Task;

/// A lease is over once its end has passed. Where nodes look at the same time one of them frees the tasks, and the others
/// look again.
const MOMENT: SignedDuration = SignedDuration::from_millis(50);

impl Runner {
    /// Joins the nodes and gives free what no living node holds.
    pub(super) async fn take_up(&self) -> Result<(), store::Error> {
        let (inner, settings) = (&self.0, &self.0.settings);
        let now = inner.clock.now();
        let freed = if inner.store.is_exclusive() {
            inner.store.rescue_all(now, settings.crash_limit).await?
        } else {
            inner.store.rescue_own(&settings.node, now, settings.crash_limit).await?
        };
        log_rescued(&settings.node, &freed);
        inner.store.join(&settings.node, now, settings.lease).await
    }
}

/// Says three times a lease that this node is alive, and frees what the others held as soon as their leases are over.
pub(super) async fn keep(runner: Runner) {
    let inner = &runner.0;
    let mut beat = tokio::time::interval(inner.settings.lease / 3);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = None;
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = inner.clock.sleep_until(next.unwrap_or(Timestamp::MAX)) => {}
            () = inner.gone.cancelled() => return,
        }
        next = match live(&runner).await {
            Ok(end) => end.map(|end| end.max(inner.clock.now()) + MOMENT),
            Err(error) => {
                tracing::warn!(%error, node = inner.settings.node, "could not renew the lease of this node; retrying");
                None
            }
        };
    }
}

/// Answers when the next lease of another node ends.
async fn live(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let (inner, settings) = (&runner.0, &runner.0.settings);
    let now = inner.clock.now();
    if !inner.store.heartbeat(&settings.node, now, settings.lease).await? {
        tracing::warn!(node = settings.node, "lease of this node expired; stopping its runs without further writes");
        inner.metrics.lease_lost();
        inner.registry.tell_all(Signal::Lost);
        inner.store.join(&settings.node, now, settings.lease).await?;
    }
    log_rescued(&settings.node, &inner.store.rescue(now, settings.crash_limit).await?);
    inner.store.next_lease_end(&settings.node).await
}

/// Logs tasks that a dead node held and whose state stays as it is. The others have the line of their transition.
fn log_rescued(node: &str, tasks: &[Arc<Task>]) {
    for task in tasks.iter().filter(|task| task.state.may_be_owned()) {
        let (kind, state, epoch) = (&*task.kind, task.state, task.epoch);
        tracing::warn!(task = %task.id, kind, %state, epoch, node, "{kind} taken from a node whose lease expired");
    }
}
