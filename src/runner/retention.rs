//! Deletes finished tasks after their retention time, with their history and files. A few at a time, so that other work is
//! not delayed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use super::deletion::{before, sleep_until_next};
use crate::store;
use crate::task::Task;

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

/// Deletes expired tasks. A task that cannot be deleted delays no other one. Returns when the next task ended, or the last error.
async fn delete_expired(runner: &Runner, age: Duration) -> Result<Option<Timestamp>, store::Error> {
    let (inner, mut after, mut failed) = (&runner.0, Timestamp::MIN, None);
    let until = before(inner.clock.now(), age);
    while !inner.ending.is_cancelled() {
        let tasks = inner.store.finished(after, until, BATCH).await?;
        failed = delete_all(runner, &tasks).await.err().or(failed);
        match tasks.last().and_then(|task| task.finished_at) {
            Some(last) if tasks.len() == BATCH as usize => after = last,
            _ => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    match failed {
        Some(error) => Err(error),
        None => inner.store.next_finished().await,
    }
}

/// Deletes these tasks. Returns the last error.
async fn delete_all(runner: &Runner, tasks: &[Arc<Task>]) -> Result<(), store::Error> {
    let short: Vec<_> = tasks.iter().filter(|task| task.is_short()).map(|task| task.id).collect();
    let mut outcome = if short.is_empty() { Ok(()) } else { runner.0.store.delete_short(&short).await };
    for task in tasks.iter().filter(|task| !task.is_short()) {
        match runner.delete_quickly(task).await {
            Ok(true) => {
                tracing::info!(task = %task.id, kind = task.kind, state = %task.state, "{} deleted after its retention time", task.kind);
            }
            Ok(false) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}
