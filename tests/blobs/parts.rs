//! Parts of what a run computed, kept beside its result for any node.

use bytes::Bytes;
use pausa::files::Files;
use pausa::task::TaskId;

use super::{Store, content, open};
use crate::blobs::results::stage;

async fn part(files: &Files, task: TaskId, name: &str) -> Option<Bytes> {
    files.blobs.part(task, name).await.unwrap()
}

async fn keep(files: &Files, task: TaskId, name: &str, bytes: &[u8]) {
    files.blobs.keep_part(task, name, Bytes::copy_from_slice(bytes)).await.unwrap();
}

pub async fn a_part_is_found_by_any_process_until_it_is_deleted(store: &dyn Store) {
    let (files, task) = (open(store).await, crate::harness::task_id());
    assert_eq!(part(&files, task, "a").await, None);
    keep(&files, task, "a", b"first").await;
    keep(&files, task, "a", &content()).await;
    keep(&files, task, "b", b"").await;
    let other = open(store).await;
    assert_eq!(part(&other, task, "a").await.as_deref(), Some(&*content()), "the newer one counts");
    assert_eq!(part(&other, task, "b").await.as_deref(), Some(&b""[..]));
    assert_eq!(part(&other, crate::harness::task_id(), "a").await, None, "another task");
    other.blobs.delete_part(task, "a").await.unwrap();
    other.blobs.delete_part(task, "a").await.unwrap();
    assert_eq!((part(&files, task, "a").await, store.objects().await), (None, 1));
}

pub async fn parts_end_with_the_result_of_their_task(store: &dyn Store) {
    let (files, published, deleted) = (open(store).await, crate::harness::task_id(), crate::harness::task_id());
    for task in [published, deleted] {
        keep(&files, task, "a", b"some").await;
    }
    let staged = stage(&files, published, b"result").await;
    files.publish_result(published, &staged.sha256).await.unwrap();
    assert_eq!(part(&files, published, "a").await, None);
    assert_eq!(part(&files, deleted, "a").await.as_deref(), Some(&b"some"[..]), "another task");
    files.delete_task(deleted).await.unwrap();
    assert_eq!(part(&files, deleted, "a").await, None);
    assert_eq!(store.objects().await, 1 + store.notes_of_a_result());
}
