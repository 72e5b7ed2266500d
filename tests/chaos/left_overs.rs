//! Any node deletes, while it runs, the files that killed nodes left.

use std::io::Write;

use bytes::Bytes;
use jiff::SignedDuration;
use pausa::clock::Clock;
use pausa::files::Files;

use crate::blobs::bucket::InBucket;
use crate::blobs::folder::Folder;
use crate::blobs::{Store, content, send};
use crate::harness::embedded::Embedded;
use crate::harness::server::PATIENCE;

/// Leaves what a node leaves that is killed at a bad moment: files without a task or an upload.
async fn leave_over(files: &Files) {
    let (published, staged, kept) = (crate::harness::task_id(), crate::harness::task_id(), crate::harness::task_id());
    for task in [published, staged] {
        let scratch = files.scratch.of(task);
        scratch.create("file").unwrap().write_all(b"result").unwrap();
        let result = files.blobs.stage_result(task, &scratch, "file", None).await.unwrap();
        if task == published {
            files.blobs.publish_result(task, &result.sha256).await.unwrap();
        }
    }
    files.blobs.keep_part(kept, "part", Bytes::from_static(b"some")).await.unwrap();
    send(&files.blobs, "unknown", b"complete").await;
    let mut parts = files.blobs.resume_upload("unfinished").await.unwrap().unwrap();
    parts.write(b"some", 9).await.unwrap();
    parts.sync().await.unwrap();
    let mut stream = files.blobs.create_upload("cut-off", u64::MAX).await.unwrap();
    for _ in 0..14 {
        stream.write(&content()).await.unwrap();
    }
    // As after a crash, nobody deletes it.
    std::mem::forget(stream);
}

/// Waits until the number of objects is as wanted. Nothing tells of it, so the objects are polled.
async fn until(store: &dyn Store, wanted: impl Fn(usize) -> bool) {
    let reached = async {
        while !wanted(store.objects().await) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("the number of objects is not as wanted");
}

/// `left`: number of objects that a node leaves.
async fn an_hour_later_only_what_is_needed_is_left(store: &dyn Store, left: usize, settings: &[(String, String)]) {
    let clock = Clock::test(Clock::system().now());
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let server = Embedded::start(&settings, Vec::new(), clock.clone()).await;
    let pi = server.ask("mutation { startPiJob(input: { digits: 100 }) { id } }").await;
    server.until(pi["data"]["startPiJob"]["id"].as_str().unwrap(), "COMPLETED").await;
    let needed = store.objects().await;
    leave_over(&store.open(jiff::Timestamp::UNIX_EPOCH).await).await;
    until(store, |objects| objects >= needed + left).await;
    clock.advance(SignedDuration::from_mins(121));
    until(store, |objects| objects == needed).await;
    assert!(server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn left_overs_in_a_folder_are_deleted_while_the_node_runs() {
    let folder = Folder::new();
    let settings = [("PAUSA_FILES_URL".to_owned(), folder.url())];
    an_hour_later_only_what_is_needed_is_left(&folder, 6, &settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn left_overs_in_a_bucket_are_deleted_while_the_node_runs() {
    let bucket = InBucket::new().await;
    an_hour_later_only_what_is_needed_is_left(&bucket, 10, &bucket.bucket.settings()).await;
}
