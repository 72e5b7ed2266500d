//! Deletes working files and unfinished results that no run needs: of tasks that are deleted, or that another node runs with its own.
//!
//! A crash, or the end of a task on another node, leaves them. Each node looks at its start and every ten minutes.

use std::error::Error;
use std::time::Duration;

use super::Runner;
use crate::access::Caller;
use crate::task::{State, Task, TaskId};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(600);

/// Deletes working files that no run needs, until the node shuts down.
pub(super) async fn run_sweep_loop(runner: Runner) {
    while !runner.0.ending.is_cancelled() {
        if let Err(error) = sweep(&runner).await {
            tracing::warn!(%error, "could not look for working files that no task needs");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = runner.0.ending.cancelled() => {}
        }
    }
}

async fn sweep(runner: &Runner) -> Result<(), Box<dyn Error + Send + Sync>> {
    for id in runner.0.files.scratch.tasks().await? {
        if is_left_over(runner, id).await? && !runner.0.registry.contains(id) {
            runner.0.files.scratch.clear(id).await?;
            tracing::info!(task = %id, "working files deleted: no run needs them");
        }
    }
    for id in runner.0.files.blobs.list_unfinished_results().await? {
        if is_over(runner, id).await? {
            runner.0.files.blobs.delete_results(id).await?;
            tracing::info!(task = %id, "unfinished result deleted: no run needs it");
        }
    }
    Ok(())
}

/// Returns true if the task is deleted or TERMINATED. What a COMPLETED task does not need is deleted with its result.
async fn is_over(runner: &Runner, id: TaskId) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let task = runner.0.store.get(&Caller::system(), id).await?;
    Ok(task.is_none_or(|task| task.state == State::Terminated))
}

/// Returns true if no run on this node needs the working files of the task.
async fn is_left_over(runner: &Runner, id: TaskId) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let inner = &runner.0;
    let Some(task) = inner.store.get(&Caller::system(), id).await? else { return Ok(true) };
    Ok(match task.state {
        State::Completed | State::Terminated => true,
        // It may be resumed, here or elsewhere.
        State::Failed => false,
        _ => !inner.files.scratch.is_shared() && runs_elsewhere(&task, &inner.claimant.node.id),
    })
}

fn runs_elsewhere(task: &Task, node: &str) -> bool {
    task.owner.as_ref().is_some_and(|owner| owner != node)
}
