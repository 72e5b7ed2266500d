//! Receives uploads into a bucket: as one stream, or in parts.

use std::io;

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::client::BucketClient;
use super::manifest::{self, StoredManifest, UploadManifest};
use super::segments::{SEGMENT, SegmentWriter};
use crate::files::Fingerprint;
use crate::files::blobs::hash_state::HashState;
use crate::files::blobs::{BlobWriter, ResumableUpload, UploadOutcome};
use crate::spawn::spawn;

/// Bytes of an upload in parts that may be received again after a crash of the node.
const RECORD: u64 = 8 * SEGMENT as u64;

/// An upload that arrives as one stream.
pub(super) struct StreamedUpload {
    client: BucketClient,
    id: String,
    segments: SegmentWriter,
    limit: u64,
    finished: bool,
}

impl StreamedUpload {
    pub(super) fn new(client: &BucketClient, id: &str, limit: u64) -> StreamedUpload {
        let segments = SegmentWriter::new(client, id, Vec::new(), HashState::default());
        StreamedUpload { client: client.clone(), id: id.to_owned(), segments, limit, finished: false }
    }
}

#[async_trait]
impl BlobWriter for StreamedUpload {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<UploadOutcome> {
        if self.segments.size() + bytes.len() as u64 > self.limit {
            return Ok(UploadOutcome::TooLarge);
        }
        self.segments.write(bytes).await?;
        Ok(UploadOutcome::Taken)
    }

    async fn finish(mut self: Box<Self>) -> io::Result<Fingerprint> {
        self.segments.flush().await?;
        let complete = manifest_of(&self.segments, 0, true);
        manifest::replace(&self.client, &self.id, &complete, None).await?;
        self.finished = true;
        Ok(Fingerprint { size: complete.size(), sha256: self.segments.hash.sha256() })
    }

    async fn abandon(mut self: Box<Self>) -> io::Result<()> {
        self.finished = true;
        // Ends the active requests before the bucket is listed.
        let _ = self.segments.flush().await;
        self.client.delete_folder(&manifest::folder(&self.id)).await
    }
}

impl Drop for StreamedUpload {
    /// Deletes the segments. A crash leaves them; an hour later they are deleted at a start.
    fn drop(&mut self) {
        if self.finished || !self.segments.has_sent() {
            return;
        }
        let (client, folder) = (self.client.clone(), manifest::folder(&self.id));
        if Handle::try_current().is_ok() {
            spawn(async move {
                if let Err(error) = client.delete_folder(&folder).await {
                    tracing::warn!(folder, %error, "could not delete an interrupted upload; a sweep deletes it");
                }
            });
        }
    }
}

/// An upload that arrives in parts. The manifest contains the durable part.
pub(super) struct ResumedUpload {
    client: BucketClient,
    id: String,
    segments: SegmentWriter,
    manifest: UploadManifest,
    tag: String,
}

impl ResumedUpload {
    /// Opens the upload and takes it over from the writer before: what that one has not recorded is not part of it.
    pub(super) async fn open(client: &BucketClient, id: &str) -> io::Result<ResumedUpload> {
        let found = manifest::read_manifest(client, id).await?;
        let (before, expected) = match found {
            Some(StoredManifest { content, tag, .. }) => (content, Some(tag)),
            None => (UploadManifest { hash: HashState::default().text(), ..UploadManifest::default() }, None),
        };
        let hash = HashState::parse(&before.hash).filter(|hash| hash.bytes() == before.size());
        let hash = hash.ok_or_else(|| io::Error::other(format!("the manifest of upload {id} is damaged")))?;
        let segments = SegmentWriter::new(client, id, before.segments.clone(), hash);
        let mut upload = ResumedUpload {
            client: client.clone(),
            id: id.to_owned(),
            segments,
            manifest: before,
            tag: expected.clone().unwrap_or_default(),
        };
        if upload.manifest.sha256.is_none() {
            let own = manifest_of(&upload.segments, upload.manifest.revision + 1, false);
            upload.tag = manifest::replace(client, id, &own, expected).await?;
            upload.manifest = own;
        }
        Ok(upload)
    }

    async fn record(&mut self, complete: bool) -> io::Result<()> {
        self.segments.flush().await?;
        let next = manifest_of(&self.segments, self.manifest.revision + 1, complete);
        self.tag = manifest::replace(&self.client, &self.id, &next, Some(self.tag.clone())).await?;
        self.manifest = next;
        Ok(())
    }

    /// Deletes the objects of the upload that its manifest does not name: short segments that longer ones replaced, and what earlier
    /// writers did not record.
    async fn delete_strays(&self) -> io::Result<()> {
        let named = |key: &str| {
            let name = key.rsplit('/').next().unwrap_or_default();
            name == manifest::MANIFEST || self.manifest.segments.iter().any(|segment| segment.name == name)
        };
        let found = self.client.list(&manifest::folder(&self.id)).await?;
        let strays: Vec<_> = found.into_iter().map(|(key, _)| key).filter(|key| !named(key)).collect();
        self.client.delete(strays).await
    }
}

#[async_trait]
impl ResumableUpload for ResumedUpload {
    fn size(&self) -> u64 {
        self.segments.size()
    }

    async fn write(&mut self, bytes: &[u8], limit: u64) -> io::Result<UploadOutcome> {
        let left = usize::try_from(limit.saturating_sub(self.size())).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(left)];
        if !taken.is_empty() {
            self.segments.take_tail().await?;
            self.segments.write(taken).await?;
        }
        if self.size() - self.manifest.size() >= RECORD {
            self.record(false).await?;
        }
        Ok(if taken.len() == bytes.len() { UploadOutcome::Taken } else { UploadOutcome::TooLarge })
    }

    async fn sync(&mut self) -> io::Result<u64> {
        if self.size() > self.manifest.size() {
            self.record(false).await?;
        }
        Ok(self.size())
    }

    async fn finish(&mut self) -> io::Result<Fingerprint> {
        if self.manifest.sha256.is_none() {
            self.record(true).await?;
            if let Err(error) = self.delete_strays().await {
                tracing::warn!(upload = self.id, %error, "could not delete unused parts of an upload; they are deleted with it");
            }
        }
        let sha256 = self.manifest.sha256.clone().unwrap_or_default();
        Ok(Fingerprint { size: self.manifest.size(), sha256 })
    }
}

fn manifest_of(segments: &SegmentWriter, revision: u64, complete: bool) -> UploadManifest {
    UploadManifest {
        writer: segments.writer.clone(),
        revision,
        segments: segments.stored.clone(),
        hash: segments.hash.text(),
        sha256: complete.then(|| segments.hash.sha256()),
    }
}
