//! What happens at a moment: starts in the future, new tries, ends of pauses. It sleeps until the nearest one.

use std::time::Duration;

use super::Runner;
use crate::store;

/// Tasks that are moved on in one write.
const BATCH: usize = 256;

/// The longest sleep, for a moment that another node set and no bell told of.
const LOOK: Duration = Duration::from_secs(5);

/// Moves tasks on as their moments come, until the node ends.
pub(super) async fn keep(runner: Runner) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        let sleep = match move_on(&runner).await {
            Ok(sleep) => sleep,
            Err(error) => {
                tracing::warn!(%error, "what is due waits for the store");
                LOOK
            }
        };
        tokio::select! {
            () = inner.bells.times.notified() => {}
            () = tokio::time::sleep(sleep) => {}
            () = inner.ending.cancelled() => {}
        }
    }
}

/// Moves on what is due; answers how long nothing else is.
async fn move_on(runner: &Runner) -> Result<Duration, store::Error> {
    let inner = &runner.0;
    while inner.store.due(inner.clock.now(), BATCH).await?.len() == BATCH {}
    let Some(next) = inner.store.next_due().await? else { return Ok(LOOK) };
    let wait = inner.clock.now().duration_until(next);
    Ok(Duration::try_from(wait).unwrap_or(Duration::ZERO).min(LOOK))
}
