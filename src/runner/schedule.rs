//! Changes that happen at a moment: starts in the future, retries, ends of pauses. Sleeps until the next one.

use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use crate::store;

/// Tasks that are changed in one write.
const BATCH: usize = 256;

/// Delay after a failure of the store.
const STORE_RETRY: Duration = Duration::from_millis(250);

/// Changes tasks that are due, until the node shuts down.
pub(super) async fn run_schedule_loop(runner: Runner) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        let next = change_due(&runner).await;
        let sleep = async {
            match next {
                Ok(next) => inner.wakeups.times.sleep(&inner.clock, next, Duration::ZERO).await,
                Err(error) => {
                    tracing::warn!(%error, "store unavailable; retrying to move on tasks that are due");
                    tokio::time::sleep(STORE_RETRY).await;
                }
            }
        };
        tokio::select! {
            () = inner.ending.cancelled() => {}
            () = sleep => {}
        }
    }
}

/// Changes all tasks that are due. Returns when the next one is.
async fn change_due(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    inner.wakeups.times.clear();
    while inner.store.process_due(inner.clock.now(), BATCH).await?.len() >= BATCH {}
    inner.store.next_due().await
}
