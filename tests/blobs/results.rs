//! Results: staged by a run, published once.

use std::io::{ErrorKind, Write};

use pausa::files::{BlobName, Files, Fingerprint};
use pausa::task::TaskId;

use super::{Store, assert_missing, content, fingerprint, open, read_all};

/// Writes a working file and stages it, as the run of one epoch does.
async fn stage(files: &Files, task: TaskId, bytes: &[u8]) -> Fingerprint {
    let scratch = files.scratch.of(task);
    scratch.create("file").unwrap().write_all(bytes).unwrap();
    files.blobs.stage_result(task, &scratch, "file", None).await.unwrap()
}

async fn assert_result(files: &Files, task: TaskId, bytes: &[u8]) {
    assert_eq!(read_all(&files.blobs, &BlobName::Result(task), bytes.len() as u64).await, bytes);
}

pub async fn a_result_is_published_with_its_size_and_hash(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let staged = stage(&files, task, &content()).await;
    assert_eq!(staged, fingerprint(&content()));
    assert_eq!(files.scratch.of(task).read("file").unwrap(), None, "the working file is gone");
    files.publish_result(task, &staged.sha256).await.unwrap();
    assert_result(&open(store).await, task, &content()).await;
    assert_eq!(store.objects().await, 1);
}

pub async fn a_known_hash_is_not_computed_again(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let scratch = files.scratch.of(task);
    scratch.create("file").unwrap().write_all(b"bytes").unwrap();
    let known = fingerprint(b"bytes");
    assert_eq!(files.blobs.stage_result(task, &scratch, "file", Some(known.clone())).await.unwrap(), known);
    files.publish_result(task, &known.sha256).await.unwrap();
    assert_result(&files, task, b"bytes").await;
}

pub async fn a_result_is_not_a_blob_before_it_is_published(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let staged = stage(&files, task, b"bytes").await;
    assert_missing(&files.blobs, &BlobName::Result(task)).await;
    // The process crashes; another one goes on.
    let files = open(store).await;
    assert_missing(&files.blobs, &BlobName::Result(task)).await;
    files.publish_result(task, &staged.sha256).await.unwrap();
    assert_result(&files, task, b"bytes").await;
}

pub async fn publishing_again_after_a_crash_changes_nothing(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let staged = stage(&files, task, b"bytes").await;
    files.blobs.publish_result(task, &staged.sha256).await.unwrap();
    for _ in 0..2 {
        let files = open(store).await;
        files.publish_result(task, &staged.sha256).await.unwrap();
        assert_result(&files, task, b"bytes").await;
    }
    assert_eq!(store.objects().await, 1);
}

pub async fn publishing_what_was_never_staged_is_an_error(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let refused = files.publish_result(task, &fingerprint(b"x").sha256).await;
    assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    assert_missing(&files.blobs, &BlobName::Result(task)).await;
}

/// A run may fail after it published what it rejected; the next run succeeds and publishes again.
pub async fn a_newer_run_publishes_its_own_result(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    for bytes in [&b"first"[..], b"second run"] {
        let staged = stage(&files, task, bytes).await;
        files.publish_result(task, &staged.sha256).await.unwrap();
        assert_result(&files, task, bytes).await;
    }
    assert_eq!(store.objects().await, 1);
}

pub async fn an_older_run_that_publishes_late_changes_nothing(store: &dyn Store) {
    let (older, newer, task) = (open(store).await, open(store).await, crate::harness::task_id());
    let late = stage(&older, task, b"of the older run").await;
    let staged = stage(&newer, task, b"of the newer run").await;
    newer.publish_result(task, &staged.sha256).await.unwrap();
    older.publish_result(task, &late.sha256).await.unwrap();
    assert_result(&older, task, b"of the newer run").await;
    assert_eq!(store.objects().await, 1);
}

pub async fn runs_that_publish_at_once_leave_one_complete_result(store: &dyn Store) {
    for round in 0..20_u8 {
        let (older, newer, task) = (open(store).await, open(store).await, crate::harness::task_id());
        let (one, two) = (vec![round; 100_000], vec![round + 100; 100_001]);
        let (first, second) = (stage(&older, task, &one).await, stage(&newer, task, &two).await);
        let outcomes =
            tokio::join!(older.publish_result(task, &first.sha256), newer.publish_result(task, &second.sha256),);
        assert!(outcomes.0.is_ok() && outcomes.1.is_ok(), "{outcomes:?}");
        let result = BlobName::Result(task);
        match newer.blobs.open(&result, 100_000).await {
            Ok(_) => assert_result(&newer, task, &one).await,
            Err(_) => assert_result(&newer, task, &two).await,
        }
        newer.delete_task(task).await.unwrap();
        assert_eq!(store.objects().await, 0);
    }
}

pub async fn deleting_a_task_leaves_nothing(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    stage(&files, task, b"never published").await;
    files.delete_task(task).await.unwrap();
    assert_eq!(store.objects().await, 0);
    let staged = stage(&files, task, b"published").await;
    files.publish_result(task, &staged.sha256).await.unwrap();
    files.delete_task(task).await.unwrap();
    files.delete_task(task).await.unwrap();
    assert_missing(&files.blobs, &BlobName::Result(task)).await;
    assert_eq!(store.objects().await, 0);
}
