//! The heartbeats of this node: they renew its lease and measure the database's clock. Rescues tasks of nodes whose leases ended.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::MissedTickBehavior;

use super::Runner;
use super::registry::RunSignal;
use crate::clock::{Clock, ClockReading};
use crate::database::log_failure;
use crate::store::{self, NodeProfile, NodeStatus};
use crate::task::Task;

/// Renewals in one lease duration.
const RENEWALS: u32 = 3;

/// Maximum time between two heartbeats, so that the database's clock is measured often enough.
const MAX_INTERVAL: Duration = Duration::from_secs(10);

/// Delay after a failed heartbeat. Runs may wait for the next one.
const RETRY: Duration = Duration::from_millis(250);

/// Readings of the database's clock before a node starts. The most exact one decides.
const FIRST_READINGS: usize = 3;

/// Delay after the end of another node's lease. If several nodes check at once, one of them rescues the tasks.
const RESCUE_DELAY: SignedDuration = SignedDuration::from_millis(50);

impl Runner {
    /// Measures the database's clock, joins the nodes, and rescues tasks that no active node can own.
    pub(super) async fn join_nodes(&self) -> Result<(), store::Error> {
        let (inner, settings) = (&self.0, &self.0.settings);
        for _ in 0..FIRST_READINGS {
            measure_clock(self).await?;
        }
        if inner.store.is_single_process() {
            let rescued = inner.store.rescue_all(inner.clock.now(), settings.crash_limit).await?;
            log_rescued(&settings.node, &rescued);
        }
        self.join().await
    }

    async fn join(&self) -> Result<(), store::Error> {
        let (inner, sent) = (&self.0, Clock::uptime());
        inner.store.join(self.profile(), inner.clock.now(), inner.settings.lease).await?;
        inner.lease.confirm(sent);
        Ok(())
    }

    /// Returns the data with which this node registers. It has started when this is called first.
    fn profile(&self) -> &NodeProfile {
        let (inner, settings) = (&self.0, &self.0.settings);
        inner.profile.get_or_init(|| NodeProfile {
            node: inner.claimant.node.clone(),
            role: settings.role.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: inner.clock.now(),
            max_running: settings.max_running,
        })
    }
}

/// Renews the lease of this node, and rescues tasks as soon as the lease of another node ends.
pub(super) async fn run_lease_loop(runner: Runner) {
    let inner = &runner.0;
    let mut renewal = tokio::time::interval((inner.settings.lease / RENEWALS).min(MAX_INTERVAL));
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = None;
    loop {
        tokio::select! {
            _ = renewal.tick() => {}
            () = inner.clock.sleep_until(next.unwrap_or(Timestamp::MAX)) => {}
            () = inner.left.cancelled() => return,
        }
        // A node that leaves does not wait for a slow renewal.
        let beaten = tokio::select! {
            beaten = beat(&runner) => beaten,
            () = inner.left.cancelled() => return,
        };
        next = match beaten {
            Ok(next) => next,
            Err(error) => {
                // Not `until_available`: meanwhile the lease may end, and the node may leave.
                inner.lease.miss();
                renewal.reset_after(RETRY.min(renewal.period()));
                log_failure!(error, %error, node = inner.settings.node, "could not renew the lease of this node; retrying");
                None
            }
        };
    }
}

/// Sends a heartbeat. Returns when the tasks of the next node whose lease ends may be rescued.
async fn beat(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let Runner(inner) = runner;
    let settings = &inner.settings;
    let disk_full = inner.full_disk.is_full();
    let status = NodeStatus { running: runner.running(), draining: inner.ending.is_cancelled(), disk_full };
    let sent = Clock::uptime();
    if inner.store.heartbeat(&inner.claimant.node.id, status, inner.clock.now(), settings.lease).await? {
        inner.lease.confirm(sent);
    } else {
        tracing::warn!(node = settings.node, "lease of this node expired; stopping its runs without further writes");
        inner.metrics.lease_lost();
        inner.lease.lose();
        inner.registry.signal_all(RunSignal::LeaseLost);
        runner.join().await?;
    }
    measure_clock(runner).await?;
    let others = inner.store.other_nodes(runner.profile(), inner.clock.now()).await?;
    inner.full_disk.note_others(others.with_space);
    inner.warnings.observe(&settings.node, inner.clock.machine_ahead(), others, disk_full, &inner.metrics.node);
    let Some((next, allowed)) = others.next_lease_end.zip(rescue_allowed(runner)) else { return Ok(None) };
    if next.max(allowed) >= inner.clock.now() {
        return Ok(next.max(allowed).checked_add(RESCUE_DELAY).ok());
    }
    log_rescued(&settings.node, &inner.store.rescue(inner.clock.now(), settings.crash_limit).await?);
    let next = inner.store.other_nodes(runner.profile(), inner.clock.now()).await?.next_lease_end;
    // Another node may be rescuing the same tasks.
    Ok(next.and_then(|next| next.max(inner.clock.now()).checked_add(RESCUE_DELAY).ok()))
}

/// Returns from when this node may rescue the tasks of others. None: not before another heartbeat.
fn rescue_allowed(runner: &Runner) -> Option<Timestamp> {
    let left = runner.0.lease.may_expire_others_from()?.saturating_sub(Clock::uptime());
    runner.0.clock.now().checked_sub(SignedDuration::from_micros(1)).ok()?.checked_add(left).ok()
}

/// Lets this node's clock follow the database's, if it has one.
async fn measure_clock(runner: &Runner) -> Result<(), store::Error> {
    let before = Clock::uptime();
    if let Some(time) = runner.0.store.database_time().await? {
        runner.0.clock.follow(ClockReading { before, time, after: Clock::uptime() });
    }
    Ok(())
}

/// Logs rescued tasks whose state stays as it is. The others have the log line of their transition.
fn log_rescued(node: &str, tasks: &[Arc<Task>]) {
    for task in tasks.iter().filter(|task| task.state.may_be_owned()) {
        let (kind, state, epoch) = (&*task.kind, task.state, task.epoch);
        tracing::warn!(task = %task.id, kind, %state, epoch, node, "{kind} taken from a node whose lease expired");
    }
}
