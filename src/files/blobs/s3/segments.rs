//! Writes the segments of an upload. A few are on their way while the next one fills: memory is bounded, whatever the size.

use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio_util::task::AbortOnDropHandle;

use super::client::BucketClient;
use super::error::unavailable;
use super::manifest::{self, UploadSegment};
use crate::files::blobs::hash_state::HashState;
use crate::spawn::spawn;

/// Bytes of a segment, except the last one.
pub(super) const SEGMENT: usize = 8 << 20;

/// Segments on their way.
const SENDING: usize = 2;

/// The bytes of an upload, on their way to the bucket.
pub(super) struct SegmentWriter {
    client: BucketClient,
    id: String,
    /// Part of the names of this writer's segments.
    pub writer: String,
    /// Segments in the bucket, in order.
    pub stored: Vec<UploadSegment>,
    sending: VecDeque<(UploadSegment, AbortOnDropHandle<io::Result<()>>)>,
    buffer: BytesMut,
    pub hash: HashState,
    /// Bytes of `stored` and `sending`.
    sent: u64,
    /// A segment was lost, so what follows it is of no use.
    broken: bool,
}

impl SegmentWriter {
    /// Continues after the `stored` segments, whose hash is `hash`.
    pub(super) fn new(client: &BucketClient, id: &str, stored: Vec<UploadSegment>, hash: HashState) -> SegmentWriter {
        SegmentWriter {
            client: client.clone(),
            id: id.to_owned(),
            writer: uuid::Uuid::new_v4().simple().to_string(),
            sent: stored.iter().map(|segment| segment.size).sum(),
            stored,
            sending: VecDeque::new(),
            buffer: BytesMut::new(),
            hash,
            broken: false,
        }
    }

    /// Bytes received, durable or not.
    pub(super) fn size(&self) -> u64 {
        self.hash.bytes()
    }

    /// Returns true if the bucket may have bytes of this writer.
    pub(super) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(SEGMENT - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == SEGMENT {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Takes back the last segment if it is short, so that the next one contains it. Returns it.
    pub(super) async fn take_tail(&mut self) -> io::Result<Option<UploadSegment>> {
        let short = self.stored.last().is_some_and(|last| last.size < SEGMENT as u64);
        if !short || !self.sending.is_empty() || !self.buffer.is_empty() {
            return Ok(None);
        }
        let Some(tail) = self.stored.last().cloned() else { return Ok(None) };
        let bytes = self.client.read_part(&manifest::key(&self.id, &tail.name)).await?;
        if bytes.len() as u64 != tail.size {
            return Err(io::Error::other(format!("the last part of upload {} has another size", self.id)));
        }
        self.buffer.extend_from_slice(&bytes);
        self.stored.pop();
        self.sent -= tail.size;
        Ok(Some(tail))
    }

    /// Sends what is left and waits until the bucket has everything.
    ///
    /// # Errors
    /// Also if an earlier segment was lost: the upload continues after what its manifest names.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.send().await?;
        }
        while !self.sending.is_empty() {
            self.settle().await?;
        }
        match self.broken {
            true => Err(unavailable("an earlier part of the upload was not stored")),
            false => Ok(()),
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        if self.sending.len() >= SENDING {
            self.settle().await?;
        }
        let bytes: Bytes = self.buffer.split().freeze();
        if bytes.len() == SEGMENT {
            // More will follow. A buffer that grows by doubling would copy all of it.
            self.buffer.reserve(SEGMENT);
        }
        let segment = UploadSegment { name: format!("{:016x}-{}", self.sent, self.writer), size: bytes.len() as u64 };
        self.sent += segment.size;
        let (client, key) = (self.client.clone(), manifest::key(&self.id, &segment.name));
        let put = spawn(async move { client.put(&key, bytes).await });
        self.sending.push_back((segment, AbortOnDropHandle::new(put)));
        Ok(())
    }

    /// Waits for the oldest segment on its way.
    async fn settle(&mut self) -> io::Result<()> {
        let Some((segment, put)) = self.sending.pop_front() else { return Ok(()) };
        let outcome = put.await.map_err(io::Error::other).flatten();
        self.broken |= outcome.is_err();
        self.stored.push(segment);
        outcome
    }
}
