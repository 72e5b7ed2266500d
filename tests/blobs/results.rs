//! Results: staged by a run, published once.

use std::io::Write;

use bytes::Bytes;
use pausa::files::{BlobName, Files, Fingerprint, ResultWriter, WrittenResult};
use pausa::task::TaskId;

use super::{Store, assert_missing, content, fingerprint, is_missing, open, read_all};

/// Writes a working file and stages it, as the run of one epoch does.
pub async fn stage(files: &Files, task: TaskId, bytes: &[u8]) -> Fingerprint {
    let scratch = files.scratch.of(task);
    scratch.create("file").unwrap().write_all(bytes).unwrap();
    files.blobs.stage_result(task, &scratch, "file", None).await.unwrap()
}

async fn assert_result(files: &Files, task: TaskId, bytes: &[u8]) {
    let name = BlobName::Result(task, fingerprint(bytes).sha256);
    assert_eq!(read_all(&files.blobs, &name, bytes.len() as u64).await, bytes);
}

pub async fn a_result_is_published_with_its_size_and_hash(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let staged = stage(&files, task, &content()).await;
    assert_eq!(staged, fingerprint(&content()));
    assert_eq!(files.scratch.of(task).read("file").unwrap(), None, "the working file is gone");
    files.publish_result(task, &staged.sha256).await.unwrap();
    assert_result(&open(store).await, task, &content()).await;
    assert_eq!(store.objects().await, 1 + store.notes_of_a_result());
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

pub async fn a_staged_result_survives_a_crash_before_it_is_published(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let staged = stage(&files, task, b"bytes").await;
    // The process crashes; another one goes on.
    let files = open(store).await;
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
    assert_eq!(store.objects().await, 1 + store.notes_of_a_result());
}

pub async fn publishing_what_was_never_staged_is_an_error(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let never = fingerprint(b"x").sha256;
    assert!(files.publish_result(task, &never).await.is_err_and(|error| is_missing(&error)));
    assert_missing(&files.blobs, &BlobName::Result(task, never)).await;
}

/// A run may fail after it published what it rejected; the next run succeeds and publishes again.
pub async fn a_newer_run_publishes_its_own_result(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    for bytes in [&b"first"[..], b"second run"] {
        let staged = stage(&files, task, bytes).await;
        files.publish_result(task, &staged.sha256).await.unwrap();
        assert_result(&files, task, bytes).await;
    }
    assert_eq!(store.objects().await, 1 + store.notes_of_a_result());
}

pub async fn an_older_run_that_publishes_late_changes_nothing(store: &dyn Store) {
    let (older, newer, task) = (open(store).await, open(store).await, crate::harness::task_id());
    let late = stage(&older, task, b"of the older run").await;
    let staged = stage(&newer, task, b"of the newer run").await;
    newer.publish_result(task, &staged.sha256).await.unwrap();
    let outcome = older.publish_result(task, &late.sha256).await;
    assert!(outcome.as_ref().err().is_none_or(is_missing), "{outcome:?}");
    assert_result(&older, task, b"of the newer run").await;
    assert_eq!(store.objects().await, 1 + store.notes_of_a_result());
}

/// Two nodes may repeat the last step of a task at once: the store of tasks has fixed what is published.
pub async fn nodes_that_publish_at_once_leave_one_complete_result(store: &dyn Store) {
    for round in 0..20_u8 {
        let (one, two, task) = (open(store).await, open(store).await, crate::harness::task_id());
        let bytes = vec![round; 100_000];
        stage(&one, task, b"of a run that lost its lease").await;
        let staged = stage(&two, task, &bytes).await;
        let outcomes = tokio::join!(one.publish_result(task, &staged.sha256), two.publish_result(task, &staged.sha256));
        assert!(outcomes.0.is_ok() && outcomes.1.is_ok(), "{outcomes:?}");
        assert_result(&one, task, &bytes).await;
        one.delete_task(task).await.unwrap();
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
    assert_missing(&files.blobs, &BlobName::Result(task, staged.sha256)).await;
    assert_eq!(store.objects().await, 0);
}

/// Bytes of a result in pieces, as a run writes them: each is the same whenever it is written.
fn piece(n: u8) -> Bytes {
    Bytes::from(vec![n; 3_000_000])
}

fn pieces(count: u8) -> Vec<u8> {
    (0..count).flat_map(|n| piece(n).to_vec()).collect()
}

async fn begin(files: &Files, task: TaskId, written: Option<WrittenResult>) -> Option<Box<dyn ResultWriter>> {
    files.blobs.write_result(task, &files.scratch.of(task), written).await.unwrap()
}

pub async fn a_result_in_pieces_is_published_with_its_size_and_hash(store: &dyn Store) {
    for count in [0, 1, 9] {
        let (files, task) = (open(store).await, crate::harness::task_id());
        let mut writer = begin(&files, task, None).await.unwrap();
        let mut durable = 0;
        for n in 0..count {
            durable = writer.write(piece(n)).await.unwrap().map_or(durable, |written| written.size);
        }
        assert_eq!(writer.size(), u64::from(count) * 3_000_000);
        assert!(count < 9 || durable > 0, "pieces become durable while they are written");
        let complete = writer.finish().await.unwrap();
        assert_eq!(complete, fingerprint(&pieces(count)));
        files.publish_result(task, &complete.sha256).await.unwrap();
        assert_result(&open(store).await, task, &pieces(count)).await;
        files.delete_task(task).await.unwrap();
        assert_eq!(store.objects().await, 0);
    }
}

pub async fn a_result_in_pieces_continues_on_another_node(store: &dyn Store) {
    let task = crate::harness::task_id();
    let mut state: Option<String> = None;
    for n in 0..7_u8 {
        // Each run writes three pieces: two that an earlier run may have written after its last checkpoint, and a new one.
        let files = open(store).await;
        let written = state.map(|state| serde_json::from_str::<WrittenResult>(&state).unwrap());
        let size = written.as_ref().map_or(0, |written| written.size);
        assert_eq!(size, u64::from(n) * 3_000_000);
        let mut writer = begin(&files, task, written).await.unwrap();
        writer.write(piece(n)).await.unwrap();
        state = Some(serde_json::to_string(&writer.sync().await.unwrap()).unwrap());
        writer.write(piece(n + 1)).await.unwrap();
        writer.write(piece(n + 2)).await.unwrap();
    }
    let files = open(store).await;
    let written = serde_json::from_str(&state.unwrap()).unwrap();
    let mut writer = begin(&files, task, Some(written)).await.unwrap();
    writer.write(piece(7)).await.unwrap();
    let complete = writer.finish().await.unwrap();
    assert_eq!(complete, fingerprint(&pieces(8)));
    files.publish_result(task, &complete.sha256).await.unwrap();
    assert_result(&files, task, &pieces(8)).await;
    assert_eq!(store.objects().await, 1 + store.notes_of_a_result());
}

pub async fn a_result_in_pieces_that_is_gone_starts_again(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    let mut writer = begin(&files, task, None).await.unwrap();
    for n in 0..4 {
        writer.write(piece(n)).await.unwrap();
    }
    let written = writer.sync().await.unwrap();
    drop(writer);
    files.delete_task(task).await.unwrap();
    assert_eq!(store.objects().await, 0, "nothing is left of a result that was never finished");
    assert!(begin(&files, task, Some(written)).await.is_none());
}
