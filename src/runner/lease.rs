//! Being alive: heartbeats, and taking up what nodes left that are not.

use super::Runner;
use super::registry::Signal;
use crate::store;

impl Runner {
    /// Joins the nodes and gives free what no living node holds.
    pub(super) async fn take_up(&self) -> Result<(), store::Error> {
        let (inner, settings) = (&self.0, &self.0.settings);
        let now = inner.clock.now();
        if inner.store.is_exclusive() {
            inner.store.rescue_all(now, settings.crash_limit).await?;
        } else {
            inner.store.rescue_own(&settings.node, now, settings.crash_limit).await?;
        }
        inner.store.join(&settings.node, now, settings.lease).await
    }
}

/// Says three times a lease that this node is alive, and looks for nodes that are not.
pub(super) async fn keep(runner: Runner) {
    let inner = &runner.0;
    let mut beat = tokio::time::interval(inner.settings.lease / 3);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = inner.gone.cancelled() => return,
        }
        if let Err(error) = live(&runner).await {
            tracing::warn!(%error, "no heartbeat for the moment");
        }
    }
}

async fn live(runner: &Runner) -> Result<(), store::Error> {
    let (inner, settings) = (&runner.0, &runner.0.settings);
    let now = inner.clock.now();
    if !inner.store.heartbeat(&settings.node, now, settings.lease).await? {
        tracing::warn!(node = settings.node, "this node was taken for dead; its runs end without another write");
        inner.registry.tell_all(Signal::Lost);
        inner.store.join(&settings.node, now, settings.lease).await?;
    }
    for task in inner.store.rescue(now, settings.crash_limit).await? {
        tracing::info!(task = %task.id, state = %task.state, "freed from a dead node");
    }
    Ok(())
}
