//! Deletes finished tasks after their retention time, with their history and files. A few at a time, so that other work is
//! not delayed.

use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use super::deletion::{before, sleep_until_next};
use crate::access::Caller;
use crate::store;

/// Tasks that are deleted at once, and the pause after that.
const BATCH: u32 = 64;
const PAUSE: Duration = Duration::from_millis(10);

/// Deletes tasks `age` after their end, until the node shuts down. A task that ends while the loop sleeps is due later than
/// the next one, so nothing has to wake the loop.
pub(super) async fn run_retention_loop(runner: Runner, age: Duration) {
    while !runner.0.ending.is_cancelled() {
        let outcome = delete_expired(&runner, age).await;
        sleep_until_next(&runner, age, "finished tasks", outcome).await;
    }
}

/// Deletes expired tasks. Returns when the next task ended.
async fn delete_expired(runner: &Runner, age: Duration) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    while delete_batch(runner, before(inner.clock.now(), age)).await? && !inner.ending.is_cancelled() {
        tokio::time::sleep(PAUSE).await;
    }
    inner.store.next_finished().await
}

/// Deletes a batch of tasks that ended before `moment`. Returns true if there may be more.
async fn delete_batch(runner: &Runner, moment: Timestamp) -> Result<bool, store::Error> {
    let inner = &runner.0;
    let tasks = inner.store.finished(moment, BATCH).await?;
    let short: Vec<_> = tasks.iter().filter(|task| task.is_short()).map(|task| task.id).collect();
    if !short.is_empty() {
        inner.store.delete_short(&short).await?;
    }
    for task in tasks.iter().filter(|task| !task.is_short()) {
        if runner.delete(&Caller::system(), task).await? {
            tracing::info!(task = %task.id, kind = task.kind, state = %task.state, "{} deleted: its retention time is over", task.kind);
        }
    }
    Ok(tasks.len() == BATCH as usize)
}
