//! An upload in a bucket: read by range where it is.

use std::io;

use async_trait::async_trait;
use futures_util::StreamExt;

use super::super::spec::FileIdentity;
use super::growing::GrowingFile;
use super::remote::{RangeSource, RemoteBytes, RemoteFile};
use super::transfer::DownloadError;
use crate::files::{BlobName, BlobReader, BlobStore};
use crate::runner::Failure;

/// One version of a blob.
struct RangedBlob(Box<dyn BlobReader>);

/// Opens the blob and returns its identity.
pub async fn open(blobs: &dyn BlobStore, name: &BlobName) -> io::Result<(GrowingFile, FileIdentity)> {
    let reader = blobs.open(name).await?;
    let known = reader.identity();
    let (size, modified) = (known.size, known.modified.as_microsecond());
    let identity = FileIdentity { size, modified, version: known.version.clone() };
    Ok((GrowingFile::remote(RemoteFile::new(Box::new(RangedBlob(reader)), size)), identity))
}

#[async_trait]
impl RangeSource for RangedBlob {
    async fn open(&self, from: u64) -> Result<RemoteBytes, DownloadError> {
        let rest = self.0.identity().size.saturating_sub(from);
        Ok(self.0.bytes(from, rest).map(|piece| piece.map_err(interrupted)).boxed())
    }
}

/// The store has repeated the request already. While it is unavailable, the task waits, and holds nothing.
fn interrupted(error: io::Error) -> DownloadError {
    DownloadError::Permanent(Failure::io("the file", &error))
}
