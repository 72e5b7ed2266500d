//! A result that grows as a multipart upload. Parts end where a piece ends, so that each part is a moment for a checkpoint. What is
//! too short for a part at a pause becomes an object of its own, which the next run takes back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::multipart::{MultipartStore, PartId};

use super::client::BucketClient;
use super::error::s3_error;
use super::result_note;
use crate::files::Fingerprint;
use crate::files::blobs::hash_state::HashState;
use crate::files::blobs::result_writer::UnfinishedObject;
use crate::files::blobs::{ResultWriter, WrittenResult};
use crate::task::TaskId;

/// Bytes of a part, at least.
const PART: u64 = 8 << 20;

/// Parts of this size. A multipart upload has at most 10,000: later parts are larger, a thousandth of what is written.
const PARTS: u64 = 1_000;

/// S3 takes no smaller part, except the last one.
const SMALLEST: usize = 5 << 20;

/// A result that is open for writing.
pub(super) struct GrowingResult {
    client: BucketClient,
    task: TaskId,
    object: UnfinishedObject,
    hash: HashState,
    buffer: BytesMut,
    /// Tails of this writer, the oldest first.
    tails: VecDeque<String>,
}

impl GrowingResult {
    /// Starts a result, or continues after what is `written`. None if that is gone.
    pub(super) async fn open(
        client: &BucketClient,
        task: TaskId,
        written: Option<WrittenResult>,
    ) -> io::Result<Option<GrowingResult>> {
        let new = || UnfinishedObject { name: format!("data-{}", random()), ..UnfinishedObject::default() };
        let (object, hash) = match written {
            None => (Some(new()), Some(HashState::default())),
            Some(written) => {
                let hash = HashState::parse(&written.hash).filter(|hash| hash.bytes() == written.size);
                (written.object, hash)
            }
        };
        let (Some(object), Some(hash)) = (object, hash) else { return Ok(None) };
        let mut result = GrowingResult {
            client: client.clone(),
            task,
            object,
            hash,
            buffer: BytesMut::new(),
            tails: VecDeque::new(),
        };
        match result.restore().await {
            Ok(()) => Ok(Some(result)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks whether the parts are there, and takes back the tail.
    async fn restore(&mut self) -> io::Result<()> {
        if let Some(upload) = &self.object.upload {
            let there = self.client.multiparts(&self.key(&self.object.name)).await?;
            if !there.iter().any(|multipart| multipart.upload == *upload) {
                return Err(ErrorKind::NotFound.into());
            }
        }
        if let Some(tail) = &self.object.tail {
            let bytes = self.client.read_part(&self.key(tail)).await?;
            self.buffer.extend_from_slice(&bytes);
        }
        Ok(())
    }

    fn key(&self, name: &str) -> String {
        result_note::key(self.task, name)
    }

    /// Sends the buffer as the next part.
    async fn send_part(&mut self) -> io::Result<()> {
        let path = self.client.path(&self.key(&self.object.name));
        let upload = match &self.object.upload {
            Some(upload) => upload.clone(),
            None => self.client.quick.create_multipart(&path).await.map_err(s3_error)?,
        };
        self.object.upload = Some(upload.clone());
        let bytes = self.buffer.clone().freeze();
        let sent = self.client.bulk.put_part(&path, &upload, self.object.parts.len(), bytes.into()).await;
        self.object.parts.push(sent.map_err(s3_error)?.content_id);
        self.object.tail = None;
        self.buffer.clear();
        Ok(())
    }

    /// Stores the buffer as an object of its own. Deletes the tail before the last one: a checkpoint with the last one was written
    /// before the caller reads again.
    async fn send_tail(&mut self) -> io::Result<()> {
        let name = format!("tail-{}", random());
        self.client.put(&self.key(&name), Bytes::copy_from_slice(&self.buffer)).await?;
        self.object.tail = Some(name.clone());
        self.tails.push_back(name);
        if self.tails.len() > 2
            && let Some(old) = self.tails.pop_front()
        {
            self.client.delete(vec![self.key(&old)]).await?;
        }
        Ok(())
    }

    fn written(&self) -> WrittenResult {
        WrittenResult { size: self.hash.bytes(), hash: self.hash.text(), object: Some(self.object.clone()) }
    }

    /// Completes the object. If the answer was lost, the object decides: its name is known to this result only.
    async fn complete(&mut self) -> io::Result<()> {
        let key = self.key(&self.object.name);
        let Some(upload) = self.object.upload.clone() else {
            return self.client.put(&key, self.buffer.split().freeze()).await;
        };
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        let parts = self.object.parts.iter().map(|tag| PartId { content_id: tag.clone() }).collect();
        let completed = self.client.bulk.complete_multipart(&self.client.path(&key), &upload, parts).await;
        match completed.map_err(s3_error) {
            Err(error) if self.client.head(&key).await.is_err() => Err(error),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl ResultWriter for GrowingResult {
    fn size(&self) -> u64 {
        self.hash.bytes()
    }

    async fn write(&mut self, piece: Bytes) -> io::Result<Option<WrittenResult>> {
        if self.buffer.is_empty() && self.buffer.capacity() == 0 {
            self.buffer.reserve(SMALLEST);
        }
        self.buffer.extend_from_slice(&piece);
        self.hash.update(&piece);
        self.object.tail = None;
        if (self.buffer.len() as u64) < PART.max(self.size() / PARTS) {
            return Ok(None);
        }
        self.send_part().await?;
        Ok(Some(self.written()))
    }

    async fn sync(&mut self) -> io::Result<WrittenResult> {
        if self.buffer.len() >= SMALLEST {
            self.send_part().await?;
        } else if !self.buffer.is_empty() && self.object.tail.is_none() {
            self.send_tail().await?;
        }
        Ok(self.written())
    }

    async fn finish(mut self: Box<Self>) -> io::Result<Fingerprint> {
        self.complete().await?;
        let result = Fingerprint { size: self.size(), sha256: self.hash.sha256() };
        result_note::write(&self.client, self.task, &self.object.name, &result).await?;
        Ok(result)
    }
}

fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
