//! Requests to stop, as a run sees them.

use std::time::Duration;

use tokio::time::Instant;

use super::super::kind::StopReason;
use super::super::registry::RunSignal;
use super::Context;

/// Time in which a run may end after its request was abandoned, before it is aborted.
const END_TIME: Duration = Duration::from_millis(250);

impl Context {
    /// Returns true if the run must stop.
    pub fn stop_requested(&self) -> bool {
        *self.0.signal.borrow() != RunSignal::Continue
    }

    /// Returns true if the task will be rolled back, so that nothing needs to be kept.
    pub fn is_terminated(&self) -> bool {
        *self.0.signal.borrow() == RunSignal::Terminate
    }

    /// Returns an error if the run must stop.
    ///
    /// # Errors
    /// As [`Context::checkpoint`].
    pub fn check_stop(&self) -> Result<(), StopReason> {
        match *self.0.signal.borrow() {
            RunSignal::Continue => Ok(()),
            RunSignal::LeaseLost => Err(StopReason::LeaseLost),
            RunSignal::Pause | RunSignal::Terminate | RunSignal::Shutdown(_) => Err(StopReason::Interrupted),
        }
    }

    /// Waits until the run must stop. To be raced against what may take long.
    pub async fn stopped(&self) -> StopReason {
        let mut signal = self.0.signal.clone();
        // The sender lives as long as the run is registered. Without it the lease is lost.
        match signal.wait_for(|signal| *signal != RunSignal::Continue).await {
            Ok(_) => self.check_stop().err().unwrap_or(StopReason::Interrupted),
            Err(_) => StopReason::LeaseLost,
        }
    }

    /// Returns once this node certainly has the task. To be called right before an act that no epoch can fence, such as deleting a
    /// file or sending a request. Waits while this node cannot renew its lease.
    ///
    /// # Errors
    /// [`StopReason::LeaseLost`] if another node may have the task.
    pub async fn may_act(&self) -> Result<(), StopReason> {
        let mut signal = self.0.signal.clone();
        let lost = signal.wait_for(|signal| *signal == RunSignal::LeaseLost);
        tokio::select! {
            biased;
            _ = lost => Err(StopReason::LeaseLost),
            held = self.0.lease.until_held() => if held { Ok(()) } else { Err(StopReason::LeaseLost) },
        }
    }

    /// Returns a check that is true as long as this node certainly has the task.
    pub fn lease_check(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let lease = self.0.lease.clone();
        move || lease.is_held()
    }

    /// Waits until a request in progress must be abandoned: at once after a termination, `patience` after a pause, and shortly
    /// before the end of the grace after a shutdown. A long task is aborted two seconds after the request to stop.
    pub async fn request_deadline(&self, patience: Duration) -> StopReason {
        let stop = self.stopped().await;
        let mut signal = self.0.signal.clone();
        let until = self.shutdown_deadline().unwrap_or_else(|| Instant::now() + patience);
        let at_once = signal.wait_for(|signal| matches!(signal, RunSignal::Terminate | RunSignal::LeaseLost));
        match tokio::time::timeout_at(until, at_once).await {
            Ok(_) => self.check_stop().err().unwrap_or(StopReason::LeaseLost),
            Err(_) => stop,
        }
    }

    /// Returns the time at which a run that must stop from now on is aborted: after `patience`, or later if a short task may still
    /// finish a request while the node shuts down.
    pub(in super::super) fn abort_at(&self, patience: Duration) -> Instant {
        let soon = Instant::now() + patience;
        let request = self.shutdown_deadline().filter(|_| self.0.task.is_short());
        request.map_or(soon, |until| soon.max(until + END_TIME))
    }

    /// Returns until when a request in progress may be finished, if the node shuts down.
    fn shutdown_deadline(&self) -> Option<Instant> {
        match *self.0.signal.borrow() {
            RunSignal::Shutdown(until) => Some(until),
            _ => None,
        }
    }
}
