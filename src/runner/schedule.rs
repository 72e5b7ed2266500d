//! Changes that happen at a moment: starts in the future, retries, ends of pauses. Sleeps until the next one.

use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use crate::database::log_failure;
use crate::retry::until_available;
use crate::store;

/// Tasks that are changed in one write.
const BATCH: usize = 256;

/// Changes tasks that are due, until the node shuts down.
pub(super) async fn run_schedule_loop(runner: Runner) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        let next = until_available(
            || change_due(&runner),
            |error| log_failure!(error, %error, "store unavailable; retrying to change tasks that are due"),
        )
        .await;
        tokio::select! {
            () = inner.ending.cancelled() => {}
            () = inner.wakeups.times.sleep(&inner.clock, next, Duration::ZERO) => {}
        }
    }
}

/// Changes all tasks that are due, unless the node shuts down. Returns when the next one is due.
async fn change_due(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    if inner.ending.is_cancelled() {
        return Ok(None);
    }
    inner.wakeups.times.clear();
    while inner.store.process_due(inner.clock.now(), BATCH).await?.len() >= BATCH {}
    inner.store.next_due().await
}
