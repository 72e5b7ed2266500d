//! Suite of every blob store, run on each of them.
//!
//! A new store implements [`Store`] for its setup and gets a module in [`conformance`].

mod broken_off;
pub mod bucket;
pub mod folder;
mod parts;
mod results;
mod seaweedfs;
mod uploads;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use pausa::files::{BlobName, BlobStore, FileFault, Files, Fingerprint, hex};
use sha2::{Digest, Sha256};

/// The setup of a blob store under test.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens the same blobs as another process would, after a crash of the first one. Incomplete streams that nobody wrote to since
    /// `abandoned` may be deleted.
    async fn open(&self, abandoned: Timestamp) -> Files;

    /// Returns how many objects are kept, complete or not.
    async fn objects(&self) -> usize;

    /// Returns how many objects the store keeps for a published result beside its bytes.
    fn notes_of_a_result(&self) -> usize {
        0
    }

    /// Returns how many objects the store keeps for an upload beside its bytes.
    fn notes_of_an_upload(&self) -> usize {
        0
    }
}

/// Runs each test on each store. A new store is another module here.
macro_rules! conformance {
    ($($file:ident::$test:ident),* $(,)?) => {
        mod on_folder {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::blobs::$file::$test(&crate::blobs::folder::Folder::new()).await;
            })*
        }

        mod in_bucket {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::blobs::$file::$test(&crate::blobs::bucket::InBucket::new().await).await;
            })*
        }

        mod in_seaweedfs {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::blobs::$file::$test(&crate::blobs::seaweedfs::InSeaweedFs::new().await).await;
            })*
        }
    };
}

conformance! {
    uploads::a_stream_becomes_a_blob_with_its_size_and_hash,
    uploads::a_stream_is_not_a_blob_before_its_end,
    uploads::a_stream_that_is_too_large_leaves_nothing,
    uploads::parts_become_a_blob_with_its_size_and_hash,
    uploads::parts_survive_a_crash_and_a_change_of_process,
    uploads::one_process_writes_parts_at_a_time,
    uploads::an_upload_that_was_completed_before_a_crash_is_completed_again,
    uploads::any_range_is_read_exactly,
    uploads::a_local_file_has_the_bytes_of_the_blob,
    uploads::what_is_deleted_is_gone_and_its_streams_end_well,
    uploads::old_uploads_are_listed,
    results::a_result_is_published_with_its_size_and_hash,
    results::a_known_hash_is_not_computed_again,
    results::a_staged_result_survives_a_crash_before_it_is_published,
    results::publishing_again_after_a_crash_changes_nothing,
    results::publishing_what_was_never_staged_is_an_error,
    results::a_newer_run_publishes_its_own_result,
    results::an_older_run_that_publishes_late_changes_nothing,
    results::nodes_that_publish_at_once_leave_one_complete_result,
    results::deleting_a_task_leaves_nothing,
    results::a_result_in_pieces_is_published_with_its_size_and_hash,
    results::a_result_in_pieces_continues_on_another_node,
    results::a_result_in_pieces_that_is_gone_starts_again,
    parts::a_part_is_found_by_any_process_until_it_is_deleted,
    parts::parts_end_with_the_result_of_their_task,
}

/// Opens the blobs; nothing is abandoned.
async fn open(store: &dyn Store) -> Files {
    store.open(Timestamp::UNIX_EPOCH).await
}

fn upload(id: &str) -> BlobName {
    BlobName::Upload(id.to_owned())
}

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    Fingerprint { size: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
}

/// Bytes that differ from place to place: 700 KiB, which is more than a store reads at once.
pub fn content() -> Vec<u8> {
    (0..700 * 1024_u32).map(|n| (n % 251) as u8).collect()
}

/// Sends a complete upload as one stream.
pub async fn send(blobs: &Arc<dyn BlobStore>, id: &str, bytes: &[u8]) -> Fingerprint {
    let mut writer = blobs.create_upload(id, u64::MAX).await.unwrap();
    for piece in bytes.chunks(100_000) {
        writer.write(piece).await.unwrap();
    }
    writer.finish().await.unwrap()
}

/// Reads a range of a blob of `size` bytes.
async fn read(blobs: &Arc<dyn BlobStore>, name: &BlobName, size: u64, from: u64, length: u64) -> Vec<u8> {
    let reader = blobs.open(name).await.unwrap();
    assert_eq!(reader.identity().size, size);
    let pieces: Vec<_> = reader.bytes(from, length).try_collect().await.unwrap();
    pieces.concat()
}

/// Reads a complete blob.
async fn read_all(blobs: &Arc<dyn BlobStore>, name: &BlobName, size: u64) -> Vec<u8> {
    read(blobs, name, size, 0, size).await
}

fn is_missing(error: &std::io::Error) -> bool {
    FileFault::of(error) == FileFault::Missing
}

/// Asserts that there is no such blob.
async fn assert_missing(blobs: &Arc<dyn BlobStore>, name: &BlobName) {
    let opened = blobs.open(name).await;
    assert!(opened.err().is_some_and(|error| is_missing(&error)), "{name}");
}
