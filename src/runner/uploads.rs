//! Deletes uploads that no task uses. The store decides which, each for one node only.

use std::time::Duration;

use jiff::Timestamp;

use super::Runner;
use super::deletion::{before, sleep_until_next};
use crate::store;

/// Uploads that are deleted in one write.
const BATCH: u32 = 64;

/// Deletes uploads `age` after their last use, until the node shuts down. An upload that comes while the loop sleeps is due
/// later than the next one, so nothing has to wake the loop.
pub(super) async fn run_upload_loop(runner: Runner, age: Duration) {
    while !runner.0.ending.is_cancelled() {
        let outcome = delete_unused(&runner, age).await;
        sleep_until_next(&runner, age, "unused uploads", outcome).await;
    }
}

/// Deletes unused uploads. Returns when the next one was last used.
async fn delete_unused(runner: &Runner, age: Duration) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    let moment = before(inner.clock.now(), age);
    loop {
        let deleted = inner.store.delete_unused(moment, BATCH).await?;
        for id in &deleted {
            tracing::info!(upload = id, "upload deleted: no task used it");
            if let Err(error) = inner.files.blobs.delete_upload(id).await {
                tracing::warn!(upload = id, %error, "could not delete the file of a deleted upload; a sweep deletes it");
            }
        }
        if deleted.len() < BATCH as usize {
            break;
        }
    }
    inner.store.next_unused().await
}
