//! A result that is written piece by piece, if necessary by several runs on several machines one after the other.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;

use crate::files::Fingerprint;

/// Written part of a result, and its place. A run keeps it in its cursor; with it any node continues after the last byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenResult {
    /// Bytes that are written and durable.
    pub size: u64,
    /// State of their SHA-256.
    pub(super) hash: String,
    /// The unfinished object, if the store is a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) object: Option<UnfinishedObject>,
}

/// An unfinished multipart upload of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnfinishedObject {
    /// Name of the object to be.
    pub name: String,
    /// ID of the multipart upload, once it has a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    /// ETags of its parts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// Name of an object of its own with the last bytes, which are too few for a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
}

/// A result that is open for writing. See [`super::BlobStore::write_result`].
///
/// Dropped without [`ResultWriter::finish`], it leaves what is durable, for the next run. Deleting or publishing the results of the
/// task removes what was never finished.
#[async_trait]
pub trait ResultWriter: Send {
    /// Returns the bytes written, durable or not.
    fn size(&self) -> u64;

    /// Appends a piece. Returns what is written if all of it is durable now, this piece included: the moment for a checkpoint that
    /// costs nothing. That happens after every few MiB.
    ///
    /// A run that continues at an older state must write the same bytes again.
    async fn write(&mut self, piece: Bytes) -> io::Result<Option<WrittenResult>>;

    /// Makes all pieces durable. Call it at a pause, at a shutdown, and at most every half a minute.
    async fn sync(&mut self) -> io::Result<WrittenResult>;

    /// Completes the result and stages it under its SHA-256.
    async fn finish(self: Box<Self>) -> io::Result<Fingerprint>;
}
