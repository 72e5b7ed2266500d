//! An upload in a bucket: a manifest, `uploads/ID/manifest`, and the segments that it names, `uploads/ID/OFFSET-WRITER`.
//!
//! The manifest is the upload: a segment that it does not name is not part of it. It is replaced only if it is the one that was read,
//! so of two writers, on two nodes, one succeeds. Segments have names of their writer, so no writer overwrites those of another.

use std::io;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::client::{BucketClient, ConditionalWrite};

/// Name of the manifest in the folder of its upload.
pub(super) const MANIFEST: &str = "manifest";

/// A run of bytes of an upload: an object of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UploadSegment {
    /// Name of the object in the folder of the upload.
    pub name: String,
    /// Size, in bytes.
    pub size: u64,
}

/// Durable part of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UploadManifest {
    /// Writer that may replace the manifest: the process that opened the upload last.
    pub writer: String,
    /// Number of replacements. Distinguishes a write of this writer from an earlier one.
    pub revision: u64,
    /// The bytes, in order.
    pub segments: Vec<UploadSegment>,
    /// State of their SHA-256.
    pub hash: String,
    /// SHA-256, once the upload is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A manifest as it was read or written.
#[derive(Clone, Debug)]
pub(super) struct StoredManifest {
    pub content: UploadManifest,
    pub tag: String,
    pub modified: Timestamp,
}

impl UploadManifest {
    pub(super) fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }
}

/// Returns the folder of an upload.
pub(super) fn folder(id: &str) -> String {
    format!("uploads/{id}")
}

/// Returns the key of a segment or of the manifest.
pub(super) fn key(id: &str, name: &str) -> String {
    format!("uploads/{id}/{name}")
}

/// Reads the manifest of an upload. None if there is none.
pub(super) async fn read_manifest(client: &BucketClient, id: &str) -> io::Result<Option<StoredManifest>> {
    let (bytes, meta) = match client.read(&key(id, MANIFEST)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let content = serde_json::from_slice(&bytes)?;
    let modified = Timestamp::from_nanosecond(meta.last_modified.timestamp_nanos_opt().unwrap_or(0).into());
    let modified = modified.map_err(io::Error::other)?;
    Ok(Some(StoredManifest { content, tag: meta.e_tag.unwrap_or_default(), modified }))
}

/// Writes a manifest in place of the one with the ETag `expected`, or the first one. Returns its ETag.
///
/// # Errors
/// `ResourceBusy` if another process replaced it. If an answer was lost, the object decides.
pub(super) async fn replace(
    client: &BucketClient,
    id: &str,
    manifest: &UploadManifest,
    expected: Option<String>,
) -> io::Result<String> {
    let content = Bytes::from(serde_json::to_vec(manifest)?);
    match client.write_if(&key(id, MANIFEST), content, expected).await {
        Ok(ConditionalWrite::Written(tag)) => Ok(tag),
        Ok(ConditionalWrite::Changed) => match read_manifest(client, id).await? {
            Some(found) if found.content == *manifest => Ok(found.tag),
            _ => Err(taken()),
        },
        Err(error) => match read_manifest(client, id).await {
            Ok(Some(found)) if found.content == *manifest => Ok(found.tag),
            _ => Err(error),
        },
    }
}

/// Returns the error of a writer that another one replaced.
fn taken() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another request continues this upload")
}
