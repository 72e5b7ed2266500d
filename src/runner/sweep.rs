//! Deletes files that no task needs: of tasks that are deleted or that another node runs with its own, and interrupted uploads.
//!
//! A crash leaves them, or the end of a task on another node. Each node searches at its start, for working files every ten minutes, and for
//! files of all nodes every hour.

use std::error::Error;

use jiff::{SignedDuration, Timestamp};

use super::Runner;
use crate::access::Caller;
use crate::task::{State, Task, TaskId};

/// Time between two searches for working files and unfinished results.
const INTERVAL: SignedDuration = SignedDuration::from_mins(10);

/// Time between two searches in the files of all nodes, and the age from which an upload counts as interrupted.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Deletes files that no task needs, until the node shuts down.
pub(super) async fn run_sweep_loop(runner: Runner) {
    let inner = &runner.0;
    let mut next = Timestamp::MIN;
    while !inner.ending.is_cancelled() {
        let now = inner.clock.now();
        log_failed(sweep_work(&runner).await);
        if now >= next {
            next = now + HOUR;
            for outcome in [sweep_results(&runner).await, sweep_uploads(&runner, now).await] {
                log_failed(outcome);
            }
        }
        tokio::select! {
            () = inner.clock.sleep_until(now + INTERVAL) => {}
            () = inner.ending.cancelled() => {}
        }
    }
}

fn log_failed(outcome: Outcome<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "could not list unused files");
    }
}

/// Deletes working files and unfinished results that no run needs.
async fn sweep_work(runner: &Runner) -> Outcome<()> {
    let inner = &runner.0;
    for id in inner.files.scratch.tasks().await? {
        if is_left_over(runner, id).await? && !inner.registry.contains(id) {
            inner.files.scratch.clear(id).await?;
            tracing::info!(task = %id, "working files deleted: no run needs them");
        }
    }
    for id in inner.files.blobs.list_unfinished_results().await? {
        if is_over(runner, id).await? {
            inner.files.blobs.delete_results(id).await?;
            tracing::info!(task = %id, "unfinished result deleted: no run needs it");
        }
    }
    Ok(())
}

/// Deletes results of tasks that do not exist. A run that had lost its lease may have written them after the task was deleted.
async fn sweep_results(runner: &Runner) -> Outcome<()> {
    let inner = &runner.0;
    let found = inner.files.blobs.list_results().await?;
    for id in inner.store.missing(found).await? {
        inner.files.blobs.delete_results(id).await?;
        tracing::info!(task = %id, "result deleted: its task does not exist");
    }
    Ok(())
}

/// Deletes interrupted uploads, and files that the store does not have: a crash between two deletions leaves them.
async fn sweep_uploads(runner: &Runner, now: Timestamp) -> Outcome<()> {
    let inner = &runner.0;
    // Files have the time of a machine, which may be behind the database's.
    let old = now + inner.clock.machine_ahead().min(SignedDuration::ZERO) - HOUR;
    inner.files.blobs.delete_incomplete(old).await?;
    for id in inner.files.blobs.list_old_uploads(old).await? {
        if inner.store.upload(&Caller::system(), &id).await?.is_none() {
            inner.files.blobs.delete_upload(&id).await?;
            tracing::info!(upload = id, "file deleted: its upload does not exist");
        }
    }
    Ok(())
}

/// Returns true if the task is deleted or TERMINATED. What a COMPLETED task does not need is deleted with its result.
async fn is_over(runner: &Runner, id: TaskId) -> Outcome<bool> {
    let task = runner.0.store.get(&Caller::system(), id).await?;
    Ok(task.is_none_or(|task| task.state == State::Terminated))
}

/// Returns true if no run on this node needs the working files of the task.
async fn is_left_over(runner: &Runner, id: TaskId) -> Outcome<bool> {
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
