//! Blobs: complete, immutable objects that every node can read, and uploads that are still being received.
//!
//! - An upload is created by [`BlobStore::create_upload`] (one stream) or [`BlobStore::resume_upload`] (tus, in parts).
//! - A result is staged by the run that made it, then published under its final name. Both steps survive a crash.
//! - A blob has no content until it is complete. Its content never changes.
//!
//! Unfinished tus uploads belong to the blob store, not to scratch: the client may send the next part to another node, which must
//! find the bytes that are there. A store without appendable objects keeps them as the parts of a multipart upload.
//!
//! [`folder`] keeps blobs in a folder, which several nodes may share. Another store is another file beside it; it must pass
//! `tests/blobs`.

pub mod folder;
mod folder_reader;
mod folder_writer;
mod hash_state;
mod resumable;

use std::fmt;
use std::fs::File;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

use super::{Fingerprint, TaskScratch};
use crate::task::TaskId;

/// Name of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BlobName {
    /// A file from a client, by the upload's ID.
    Upload(String),
    /// The result file of a task.
    Result(TaskId),
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlobName::Upload(id) => write!(f, "upload {id}"),
            BlobName::Result(task) => write!(f, "result of task {task}"),
        }
    }
}

/// The bytes of a blob in order, in pieces of at most a few hundred KiB.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Outcome of writing a piece of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All bytes were taken.
    Taken,
    /// The upload would exceed its limit.
    TooLarge,
}

/// A place where blobs are kept. Every method returns `NotFound` for a blob that does not exist, unless it says otherwise, and an
/// error that is `FileFault::Unavailable` if the place does not answer.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Starts an upload of at most `limit` bytes that arrives as one stream.
    async fn create_upload(&self, id: &str, limit: u64) -> io::Result<Box<dyn BlobWriter>>;

    /// Opens an upload that arrives in parts, and creates it if it is missing. `None` while another process writes to it.
    ///
    /// Also opens an upload that is complete: a crash may come before the task store knows that.
    async fn resume_upload(&self, id: &str) -> io::Result<Option<Box<dyn ResumableUpload>>>;

    /// Returns the bytes received of an upload that arrives in parts. 0 if there are none, or if it is complete.
    async fn received_bytes(&self, id: &str) -> io::Result<u64>;

    /// Stores a finished working file of a task as its staged result, under the name of its content. The working file is gone
    /// afterwards. `known` is its size and hash, if they were computed while it was written.
    ///
    /// Staged results of several runs of a task do not disturb each other.
    async fn stage_result(
        &self,
        task: TaskId,
        scratch: &TaskScratch,
        file: &str,
        known: Option<Fingerprint>,
    ) -> io::Result<Fingerprint>;

    /// Returns true if the task has a complete staged result with this size and hash.
    async fn is_staged(&self, task: TaskId, result: &Fingerprint) -> io::Result<bool>;

    /// Makes the staged result with this hash the result of the task, in one step. Succeeds again if that was done before.
    ///
    /// Replaces an earlier result and discards the other staged results of the task: what a run staged before it lost its lease
    /// cannot replace what a newer run published. `NotFound` if there is neither a staged nor a published result.
    async fn publish_result(&self, task: TaskId, sha256: &str) -> io::Result<()>;

    /// Opens a blob for streaming. Fails with `InvalidData` unless it has `size` bytes.
    async fn open(&self, name: &BlobName, size: u64) -> io::Result<Box<dyn BlobReader>>;

    /// Opens a blob as a local file, for reads by position. Its modification time is that of the blob.
    ///
    /// A store without local files copies the blob to `scratch`.
    async fn open_file(&self, name: &BlobName, scratch: &TaskScratch) -> io::Result<File>;

    /// Deletes a blob, complete or not, staged or published. Idempotent. A stream that has begun is delivered to its end.
    async fn delete(&self, name: &BlobName) -> io::Result<()>;

    /// Returns the IDs of uploads, complete or not, that nobody wrote to since `before`.
    async fn list_old_uploads(&self, before: Timestamp) -> io::Result<Vec<String>>;

    /// Returns the ID of the task store that these blobs belong to. None before the first start.
    async fn identity(&self) -> io::Result<Option<String>>;

    /// Records the ID of the task store, unless there is one. Returns the ID that is there then.
    async fn claim_identity(&self, id: &str) -> io::Result<String>;

    /// Names the object that has the ID, for error texts, such as `the file /srv/files/store-id`.
    fn identity_place(&self) -> String;
}

/// A blob that is open for streaming.
pub trait BlobReader: Send + Sync {
    /// Returns the `length` bytes from `from` on. The stream ends with an error if the blob ends before.
    fn bytes(&self, from: u64, length: u64) -> ByteStream;
}

/// An upload that arrives as one stream. Dropped without [`BlobWriter::finish`], it never becomes a blob.
#[async_trait]
pub trait BlobWriter: Send {
    /// Writes the next bytes. Nothing of the piece is written if it exceeds the limit.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<Received>;

    /// Completes the blob. It survives a power loss when this returns.
    async fn finish(self: Box<Self>) -> io::Result<Fingerprint>;

    /// Discards what was written.
    async fn abandon(self: Box<Self>) -> io::Result<()>;
}

/// An upload that arrives in parts, open for writing by this process only.
#[async_trait]
pub trait ResumableUpload: Send {
    /// Returns the bytes received. They survive a power loss once [`ResumableUpload::sync`] has returned.
    fn size(&self) -> u64;

    /// Appends the next bytes, but not beyond `limit` bytes in total.
    async fn write(&mut self, bytes: &[u8], limit: u64) -> io::Result<Received>;

    /// Makes the bytes received durable, and returns their count.
    async fn sync(&mut self) -> io::Result<u64>;

    /// Completes the blob. It survives a power loss when this returns. Idempotent.
    async fn finish(&mut self) -> io::Result<Fingerprint>;
}
