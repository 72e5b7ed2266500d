//! What is deleted when its time is over: here uploads that no task uses. The store decides which, each for one node
//! alone.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use crate::store;

/// Uploads that are deleted in one write.
const BATCH: u32 = 64;

/// The longest sleep: the clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(3600);

/// The shortest: what another node is busy with is looked at again then.
const PAUSE: Duration = Duration::from_millis(100);

/// The wait after a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// Deletes uploads `life` after their last use, until the node ends. Whatever is sent while it sleeps has at least a whole
/// life before it, so nothing has to wake it.
pub(super) async fn keep(runner: Runner, life: Duration) {
    if let Err(error) = strays(&runner, life).await {
        tracing::warn!(%error, "could not look for files without an upload");
    }
    while !runner.0.ending.is_cancelled() {
        let outcome = sweep(&runner, life).await;
        rest(&runner, life, "unused uploads", outcome).await;
    }
}

/// Sleeps until the next thing is `life` old, or the node ends. `outcome` is what deleting came to: since when the next thing
/// has been there, if there is one.
pub(super) async fn rest<E: Display>(
    runner: &Runner,
    life: Duration,
    what: &str,
    outcome: Result<Option<Timestamp>, E>,
) {
    let clock = &runner.0.clock;
    let sleep = async {
        match outcome {
            Ok(since) => {
                let next = since.unwrap_or(clock.now()).checked_add(life);
                tokio::time::sleep(PAUSE).await;
                tokio::select! {
                    () = clock.sleep_until(next.unwrap_or(Timestamp::MAX)) => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "could not delete {what}; retrying");
                tokio::time::sleep(AGAIN).await;
            }
        }
    };
    tokio::select! {
        () = sleep => {}
        () = runner.0.ending.cancelled() => {}
    }
}

/// Deletes what is due; answers when the next upload was last used.
async fn sweep(runner: &Runner, life: Duration) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    let before = ago(inner.clock.now(), life);
    loop {
        let deleted = inner.store.delete_unused(before, BATCH).await?;
        for id in &deleted {
            tracing::info!(upload = id, "upload deleted: no task used it");
            if let Err(error) = inner.files.delete_upload(id).await {
                tracing::warn!(upload = id, %error, "could not delete the file of a deleted upload; the next start deletes it");
            }
        }
        if deleted.len() < BATCH as usize {
            break;
        }
    }
    inner.store.next_unused().await
}

/// Deletes files that the store does not know: a crash came between the deletion of the one and of the other.
async fn strays(runner: &Runner, life: Duration) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let inner = &runner.0;
    // A file that is being written is known to the store within the hour.
    for id in inner.files.old_uploads(ago(inner.clock.now(), life.max(LOOK))).await? {
        if inner.store.upload(&id).await?.is_none() {
            inner.files.delete_upload(&id).await?;
        }
    }
    Ok(())
}

/// The moment so long before `now`.
pub(super) fn ago(now: Timestamp, time: Duration) -> Timestamp {
    now.checked_sub(time).unwrap_or(Timestamp::MIN)
}
