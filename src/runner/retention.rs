//! Finished tasks are forgotten when their time has come, with their history and their files: a few at a time, so that nobody
//! waits for it.

use std::time::Duration;

use jiff::Timestamp;

use super::{Runner, StartError};

/// Tasks that are forgotten in one go, and the pause after it.
const BATCH: u32 = 64;
const PAUSE: Duration = Duration::from_millis(10);

/// The longest sleep: the clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(3600);

/// The wait after a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// Forgets tasks `life` after their end, until the node ends. What ends while it sleeps has a whole life before it, so
/// nothing has to wake it.
pub(super) async fn keep(runner: Runner, life: Duration) {
    let inner = &runner.0;
    while !inner.ending.is_cancelled() {
        let sleep = match forget(&runner, life).await {
            Ok(sleep) => sleep.min(life).min(LOOK).max(PAUSE),
            Err(error) => {
                tracing::warn!(%error, "finished tasks stay for now");
                AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = inner.ending.cancelled() => {}
        }
    }
}

/// Forgets some of what is due; answers how long nothing else is.
async fn forget(runner: &Runner, life: Duration) -> Result<Duration, StartError> {
    let inner = &runner.0;
    let now = inner.clock.now();
    let tasks = inner.store.finished(now.checked_sub(life).unwrap_or(Timestamp::MIN), BATCH).await?;
    let brief: Vec<_> = tasks.iter().filter(|task| task.is_brief()).map(|task| task.id).collect();
    if !brief.is_empty() {
        inner.store.forget_brief(&brief).await?;
    }
    for task in tasks.iter().filter(|task| !task.is_brief()) {
        if runner.forget(task).await? {
            tracing::info!(task = %task.id, kind = %task.kind, state = %task.state, "forgotten: its time was over");
        }
    }
    if tasks.len() == BATCH as usize {
        return Ok(PAUSE);
    }
    let Some(first) = inner.store.next_finished().await? else { return Ok(life) };
    let age = Duration::try_from(first.duration_until(inner.clock.now())).unwrap_or(Duration::ZERO);
    Ok(life.saturating_sub(age))
}
