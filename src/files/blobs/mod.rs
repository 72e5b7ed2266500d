//! Blobs: complete, immutable objects that every node can read, and uploads that are still being received.
//!
//! - An upload is created by [`BlobStore::create_upload`] (one stream) or [`BlobStore::resume_upload`] (tus, in parts).
//! - A result is staged by the run that made it, from a working file or piece by piece ([`BlobStore::write_result`]), then published.
//!   Each step survives a crash.
//! - A blob has no content until it is complete. Its content never changes.
//!
//! Unfinished tus uploads belong to the blob store, not to scratch: the client may send the next part to another node, which must
//! find the bytes that are there.
//!
//! [`folder`] keeps blobs in a folder, which several nodes may share; [`s3`] keeps them in a bucket. Another store is another file beside it; it must pass
//! `tests/blobs`.

mod blocking;
pub mod folder;
mod folder_reader;
mod folder_result;
mod folder_writer;
mod hash_state;
mod result_writer;
mod resumable;
pub mod s3;

use std::fmt;
use std::fs::File;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

use super::{Fingerprint, TaskScratch};
use crate::task::TaskId;
pub use result_writer::{ResultWriter, WrittenResult};

/// Name of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BlobName {
    /// A file from a client, by the upload's ID.
    Upload(String),
    /// The result file of a task, by the SHA-256 that its row names.
    Result(TaskId, String),
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlobName::Upload(id) => write!(f, "upload {id}"),
            BlobName::Result(task, _) => write!(f, "result of task {task}"),
        }
    }
}

/// The bytes of a blob in order, in pieces of at most a few hundred KiB.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Identifies a version of a blob. An import that resumes recognizes its file by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobIdentity {
    /// Size, in bytes.
    pub size: u64,
    /// Time of the last write.
    pub modified: Timestamp,
    /// The store's name of the version, if it has one.
    pub version: Option<String>,
}

/// Headers of a response that a client gets from the store itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadHeaders {
    /// Content-Disposition.
    pub disposition: String,
    /// Content-Type.
    pub content_type: String,
}

/// Outcome of writing a piece of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadOutcome {
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

    /// Opens an upload that arrives in parts, and creates it if it is missing. One process writes at a time: the others get `None`
    /// meanwhile, or the last one takes the upload over, and [`ResumableUpload::sync`] of the one before fails.
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

    /// Starts a result that is written piece by piece, or continues after what is `written`. The caller holds the task's lease.
    ///
    /// `None` if what is written is gone, as after a change of machine if the store is a folder that the machines do not share: the
    /// result then starts again from nothing.
    async fn write_result(
        &self,
        task: TaskId,
        scratch: &TaskScratch,
        written: Option<WrittenResult>,
    ) -> io::Result<Option<Box<dyn ResultWriter>>>;

    /// Makes the staged result with this hash the result of the task. Succeeds again if that was done before.
    ///
    /// Discards everything else that was staged or is being written for the task. `NotFound` if there is no such result: it was never
    /// staged, or another run published its own.
    async fn publish_result(&self, task: TaskId, sha256: &str) -> io::Result<()>;

    /// Opens a blob for streaming. Every stream of the reader is of the same version of the blob, or fails.
    ///
    /// A result must have been published: a bucket shows a staged one as well, to whoever knows its hash.
    async fn open(&self, name: &BlobName) -> io::Result<Box<dyn BlobReader>>;

    /// Returns a URL at which a client gets the blob from the store itself, with these headers, for `life`. None if the store has no
    /// such URLs. Does not ask whether the blob is complete.
    async fn download_url(
        &self,
        _name: &BlobName,
        _headers: &DownloadHeaders,
        _life: Duration,
    ) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// Opens a blob as a local file, for reads by position. Its modification time is that of the blob.
    ///
    /// A store without local files copies the blob to `scratch`.
    async fn open_file(&self, name: &BlobName, scratch: &TaskScratch) -> io::Result<File>;

    /// Deletes an upload, complete or not. Idempotent.
    ///
    /// A stream of it that has begun is delivered to its end, or fails.
    async fn delete_upload(&self, id: &str) -> io::Result<()>;

    /// Deletes all results of a task: published, staged or being written. Idempotent.
    async fn delete_results(&self, task: TaskId) -> io::Result<()>;

    /// Returns the tasks whose results are here. In a bucket also those whose results are staged, or that keep parts.
    async fn list_results(&self) -> io::Result<Vec<TaskId>>;

    /// Returns tasks with a result that was begun and is not complete, outside of this machine. It may still be written.
    async fn list_unfinished_results(&self) -> io::Result<Vec<TaskId>> {
        Ok(Vec::new())
    }

    /// Deletes uploads that arrived as one stream and are not complete, if they received no byte since `abandoned`.
    async fn delete_incomplete(&self, abandoned: Timestamp) -> io::Result<()>;

    /// Returns the IDs of uploads, complete or not, that received no byte since `before`.
    async fn list_old_uploads(&self, before: Timestamp) -> io::Result<Vec<String>>;

    /// Keeps a part of what a run computed, in place of an earlier one with this name, so that any node finds it. Parts are deleted
    /// with the results of the task, and when its result is published.
    async fn keep_part(&self, task: TaskId, name: &str, bytes: Bytes) -> io::Result<()>;

    /// Returns a part. None if there is none.
    async fn part(&self, task: TaskId, name: &str) -> io::Result<Option<Bytes>>;

    /// Deletes a part. Idempotent.
    async fn delete_part(&self, task: TaskId, name: &str) -> io::Result<()>;

    /// Returns the ID of the task store that these blobs belong to. None before the first start.
    async fn identity(&self) -> io::Result<Option<String>>;

    /// Records the ID of the task store, unless there is one. Returns the ID that is there then.
    async fn claim_identity(&self, id: &str) -> io::Result<String>;

    /// Names the object that has the ID, for error texts, such as `the file /srv/files/store-id`.
    fn identity_place(&self) -> String;
}

/// A blob that is open for streaming.
pub trait BlobReader: Send + Sync {
    /// Returns what identifies the version that is open.
    fn identity(&self) -> &BlobIdentity;

    /// Returns the `length` bytes from `from` on, read ahead by a few MiB at most. The stream ends with an error if the blob ends
    /// before.
    ///
    /// A stream may be kept for hours: a connection that is lost between two pieces is made again. An error that is
    /// `FileFault::Unavailable` ends it; a new stream continues after the last piece.
    fn bytes(&self, from: u64, length: u64) -> ByteStream;
}

/// An upload that arrives as one stream. Dropped without [`BlobWriter::finish`], it never becomes a blob.
#[async_trait]
pub trait BlobWriter: Send {
    /// Writes the next bytes. Nothing of the piece is written if it exceeds the limit.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<UploadOutcome>;

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
    async fn write(&mut self, bytes: &[u8], limit: u64) -> io::Result<UploadOutcome>;

    /// Makes the bytes received durable, and returns their count.
    async fn sync(&mut self) -> io::Result<u64>;

    /// Completes the blob. It survives a power loss when this returns. Idempotent.
    async fn finish(&mut self) -> io::Result<Fingerprint>;
}
