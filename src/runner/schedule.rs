//! What happens at a moment: starts in the future, new tries, ends of pauses. It sleeps until the nearest one.

use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use crate::store;

/// Tasks that are moved on in one write.
const BATCH: usize = 256;

/// The wait after a failure of the store.
const AWAY: Duration = Duration::from_millis(250);

/// Moves tasks on as their moments come, until the node ends.
pub(super) async fn keep(runner: Runner) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        let next = move_on(&runner).await;
        let rest = async {
            match next {
                Ok(next) => inner.wakeups.times.sleep(&inner.clock, next, Duration::ZERO).await,
                Err(error) => {
                    tracing::warn!(%error, "store unavailable; retrying to move on tasks that are due");
                    tokio::time::sleep(AWAY).await;
                }
            }
        };
        tokio::select! {
            () = inner.ending.cancelled() => {}
            () = rest => {}
        }
    }
}

/// Moves on what is due; answers when the next is.
async fn move_on(runner: &Runner) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    inner.wakeups.times.clear();
    while inner.store.due(inner.clock.now(), BATCH).await?.len() >= BATCH {}
    inner.store.next_due().await
}
