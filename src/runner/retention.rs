//! Finished tasks are forgotten when their time has come, with their history and their files: a few at a time, so that nobody
//! waits for it.

use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use super::sweep::{ago, rest};
use crate::store;

/// Tasks that are forgotten in one go, and the pause after it.
const BATCH: u32 = 64;
const PAUSE: Duration = Duration::from_millis(10);

/// Forgets tasks `life` after their end, until the node ends. What ends while it sleeps has a whole life before it, so
/// nothing has to wake it.
pub(super) async fn keep(runner: Runner, life: Duration) {
    while !runner.0.ending.is_cancelled() {
        let outcome = forget(&runner, life).await;
        rest(&runner, life, "finished tasks", outcome).await;
    }
}

/// Forgets what is due; answers when the next task was over.
async fn forget(runner: &Runner, life: Duration) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    while forget_some(runner, ago(inner.clock.now(), life)).await? && !inner.ending.is_cancelled() {
        tokio::time::sleep(PAUSE).await;
    }
    inner.store.next_finished().await
}

/// Forgets a batch of what was over before that moment; true where there may be more.
async fn forget_some(runner: &Runner, before: Timestamp) -> Result<bool, store::Error> {
    let inner = &runner.0;
    let tasks = inner.store.finished(before, BATCH).await?;
    let short: Vec<_> = tasks.iter().filter(|task| task.is_short()).map(|task| task.id).collect();
    if !short.is_empty() {
        inner.store.forget_short(&short).await?;
    }
    for task in tasks.iter().filter(|task| !task.is_short()) {
        if runner.delete(task).await? {
            tracing::info!(task = %task.id, kind = task.kind, state = %task.state, "{} deleted: its retention time is over", task.kind);
        }
    }
    Ok(tasks.len() == BATCH as usize)
}
