//! Blobs in a bucket of S3 or of a store that speaks its protocol.
//!
//! - [`client`]: requests with deadlines and retries; [`error`]: what an answer means; [`availability`]: log lines of outages;
//!   [`multiparts`]: unfinished multipart uploads
//! - [`manifest`], [`segments`], [`upload`]: uploads, as segments that a manifest names
//! - [`result_note`], [`growing`]: results, as one object that a note names
//! - [`object_stream`], [`stall_guard`], [`readers`]: streams
//!
//! Nothing here depends on a clock or a lock. What two nodes may write at once is written on a condition, and what one may leave
//! unfinished has a name that no other uses.

mod availability;
mod client;
mod error;
mod growing;
mod manifest;
mod multiparts;
mod object_stream;
mod readers;
mod result_note;
mod segments;
mod stall_guard;
mod upload;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectMeta;
use object_store::signer::{Method, SignedUrlOptions, Signer};

use self::client::{BucketClient, ConditionalWrite};
use self::error::{s3_error, unavailable};
use self::growing::GrowingResult;
use self::manifest::MANIFEST;
use self::readers::{BucketReader, ReadObject};
use self::upload::{ResumedUpload, StreamedUpload};
use super::blocking::blocking;
use super::{
    BlobIdentity, BlobName, BlobReader, BlobStore, BlobWriter, DownloadHeaders, ResultWriter, ResumableUpload,
    WrittenResult,
};
use crate::config::BucketUrl;
use crate::files::{Fingerprint, TaskScratch};
use crate::retry::retry_within;
use crate::task::TaskId;

/// Log target of the S3 library that the log leaves out: a line for each request that it repeats.
pub const QUIET_TARGET: &str = "object_store::client::retry";

/// Key of the object with the ID of the task store.
const IDENTITY: &str = "store-id";

/// Time in which the bucket must answer at the start.
const START: Duration = Duration::from_secs(10);

/// Bytes per read of a working file.
const PIECE: usize = 1 << 20;

/// A bucket of blobs. Clones share it.
#[derive(Clone, Debug)]
pub struct BlobBucket {
    client: BucketClient,
    url: BucketUrl,
}

impl BlobBucket {
    /// Opens the bucket.
    ///
    /// # Errors
    /// The bucket does not exist, refuses the keys or does not answer.
    pub async fn open(url: &BucketUrl) -> io::Result<BlobBucket> {
        let blobs = BlobBucket { client: BucketClient::new(url)?, url: url.clone() };
        blobs.until_answered().await?;
        Ok(blobs)
    }

    /// Waits until the bucket answers. It may be starting, too.
    async fn until_answered(&self) -> io::Result<()> {
        match retry_within(START, || self.client.answers(IDENTITY), |error| !error.is_final).await {
            Some(answered) => answered.map_err(|error| error.cause),
            None => Err(unavailable("the bucket does not answer, or no keys were found")),
        }
    }

    /// Returns all objects of uploads, by the ID of the upload.
    async fn uploads(&self) -> io::Result<HashMap<String, Vec<(String, ObjectMeta)>>> {
        let mut uploads: HashMap<String, Vec<_>> = HashMap::new();
        for (key, meta) in self.client.list("uploads").await? {
            if let Some(id) = key.split('/').nth(1).map(str::to_owned) {
                uploads.entry(id).or_default().push((key, meta));
            }
        }
        Ok(uploads)
    }

    async fn open_upload(&self, id: &str) -> io::Result<BucketReader> {
        let found = manifest::read_manifest(&self.client, id).await?;
        let complete = found.and_then(|found| found.content.sha256.clone().map(|sha256| (found, sha256)));
        let Some((found, sha256)) = complete else {
            return Err(io::Error::new(ErrorKind::NotFound, format!("there is no complete upload {id}")));
        };
        let mut start = 0;
        let objects = found.content.segments.iter().map(|segment| {
            let range = start..start + segment.size;
            start = range.end;
            ReadObject { path: self.client.path(&manifest::key(id, &segment.name)), tag: None, range }
        });
        let objects = objects.collect();
        let identity = BlobIdentity { size: start, modified: found.modified, version: Some(sha256) };
        Ok(BucketReader { client: self.client.clone(), objects, identity })
    }

    async fn open_result(&self, task: TaskId, sha256: &str) -> io::Result<BucketReader> {
        let note = result_note::read_note(&self.client, task, sha256).await?;
        let path = self.client.path(&result_note::key(task, &note.name));
        let object = ReadObject { path, tag: Some(note.tag).filter(|tag| !tag.is_empty()), range: 0..note.size };
        let identity =
            BlobIdentity { size: note.size, modified: Timestamp::UNIX_EPOCH, version: Some(sha256.to_owned()) };
        Ok(BucketReader { client: self.client.clone(), objects: Arc::new([object]), identity })
    }
}

#[async_trait]
impl BlobStore for BlobBucket {
    async fn create_upload(&self, id: &str, limit: u64) -> io::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(StreamedUpload::new(&self.client, id, limit)))
    }

    async fn resume_upload(&self, id: &str) -> io::Result<Option<Box<dyn ResumableUpload>>> {
        Ok(Some(Box::new(ResumedUpload::open(&self.client, id).await?)))
    }

    async fn received_bytes(&self, id: &str) -> io::Result<u64> {
        let found = manifest::read_manifest(&self.client, id).await?;
        Ok(found.filter(|found| found.content.sha256.is_none()).map_or(0, |found| found.content.size()))
    }

    async fn stage_result(
        &self,
        task: TaskId,
        scratch: &TaskScratch,
        file: &str,
        known: Option<Fingerprint>,
    ) -> io::Result<Fingerprint> {
        let opened = GrowingResult::open(&self.client, task, None).await?;
        let mut writer = opened.ok_or_else(|| io::Error::other("a new result is not open"))?;
        let path = scratch.path(file);
        let mut from = blocking(move || File::open(path)).await?;
        loop {
            let (read, piece) = blocking(move || read_piece(from)).await?;
            from = read;
            if piece.is_empty() {
                break;
            }
            writer.write(piece).await?;
        }
        let result = Box::new(writer).finish().await?;
        if known.is_some_and(|known| known != result) {
            return Err(io::Error::other("the working file has changed"));
        }
        let (scratch, file) = (scratch.clone(), file.to_owned());
        blocking(move || scratch.remove(&file)).await?;
        Ok(result)
    }

    async fn is_staged(&self, task: TaskId, result: &Fingerprint) -> io::Result<bool> {
        match result_note::read_note(&self.client, task, &result.sha256).await {
            Ok(note) => Ok(note.size == result.size),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write_result(
        &self,
        task: TaskId,
        _: &TaskScratch,
        written: Option<WrittenResult>,
    ) -> io::Result<Option<Box<dyn ResultWriter>>> {
        let opened = GrowingResult::open(&self.client, task, written).await?;
        Ok(opened.map(|result| Box::new(result) as Box<dyn ResultWriter>))
    }

    async fn publish_result(&self, task: TaskId, sha256: &str) -> io::Result<()> {
        let note = result_note::read_note(&self.client, task, sha256).await?;
        self.client.head(&result_note::key(task, &note.name)).await?;
        let kept = [result_note::key(task, sha256), result_note::key(task, &note.name)];
        let found = self.client.list(&result_note::folder(task)).await?;
        let others: Vec<_> = found.into_iter().map(|(key, _)| key).filter(|key| !kept.contains(key)).collect();
        self.client.delete(others).await?;
        self.client.abort_multiparts(&result_note::folder(task)).await
    }

    async fn open(&self, name: &BlobName) -> io::Result<Box<dyn BlobReader>> {
        Ok(Box::new(match name {
            BlobName::Upload(id) => self.open_upload(id).await?,
            BlobName::Result(task, sha256) => self.open_result(*task, sha256).await?,
        }))
    }

    async fn open_file(&self, name: &BlobName, scratch: &TaskScratch) -> io::Result<File> {
        let reader = self.open(name).await?;
        let (size, modified) = (reader.identity().size, SystemTime::from(reader.identity().modified));
        let copy = scratch.clone();
        let mut file = blocking(move || copy.open("copy")).await?;
        let known = file.metadata()?;
        if known.len() == size && known.modified()? == modified {
            return Ok(file);
        }
        let copy = scratch.clone();
        file = blocking(move || copy.create("copy")).await?;
        let mut bytes = reader.bytes(0, size);
        while let Some(piece) = bytes.try_next().await? {
            file = blocking(move || file.write_all(&piece).map(|()| file)).await?;
        }
        let copy = scratch.clone();
        blocking(move || {
            file.set_modified(modified)?;
            copy.open("copy")
        })
        .await
    }

    async fn download_url(
        &self,
        name: &BlobName,
        headers: &DownloadHeaders,
        life: Duration,
    ) -> io::Result<Option<String>> {
        let BlobName::Result(task, sha256) = name else { return Ok(None) };
        let note = result_note::read_note(&self.client, *task, sha256).await?;
        let path = self.client.path(&result_note::key(*task, &note.name));
        let options = SignedUrlOptions::new().with_query([
            ("response-content-disposition", &*headers.disposition),
            ("response-content-type", &*headers.content_type),
        ]);
        let url = self.client.quick.signed_url_opts(Method::GET, &path, life, &options).await.map_err(s3_error)?;
        Ok(Some(url.into()))
    }

    async fn delete_upload(&self, id: &str) -> io::Result<()> {
        // Without the manifest there is no upload, whatever remains after a crash.
        self.client.delete(vec![manifest::key(id, MANIFEST)]).await?;
        self.client.delete_folder(&manifest::folder(id)).await
    }

    async fn delete_results(&self, task: TaskId) -> io::Result<()> {
        let folder = result_note::folder(task);
        self.client.delete_folder(&folder).await?;
        self.client.abort_multiparts(&folder).await
    }

    async fn list_results(&self) -> io::Result<Vec<TaskId>> {
        let names = self.client.folders("results").await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn list_unfinished_results(&self) -> io::Result<Vec<TaskId>> {
        let found = self.client.multiparts("results").await?;
        let task = |path: &str| path.rsplit('/').nth(1)?.parse().ok();
        Ok(found.iter().filter_map(|multipart| task(&multipart.path)).collect())
    }

    async fn delete_incomplete(&self, abandoned: Timestamp) -> io::Result<()> {
        for (id, objects) in self.uploads().await? {
            let is_stream = objects.iter().all(|(key, _)| !key.ends_with(MANIFEST));
            if is_stream && newest(&objects) < abandoned {
                self.client.delete_folder(&manifest::folder(&id)).await?;
            }
        }
        Ok(())
    }

    async fn list_old_uploads(&self, before: Timestamp) -> io::Result<Vec<String>> {
        let uploads = self.uploads().await?;
        Ok(uploads.into_iter().filter(|(_, objects)| newest(objects) < before).map(|(id, _)| id).collect())
    }

    async fn keep_part(&self, task: TaskId, name: &str, bytes: Bytes) -> io::Result<()> {
        self.client.put(&result_note::part_key(task, name), bytes).await
    }

    async fn part(&self, task: TaskId, name: &str) -> io::Result<Option<Bytes>> {
        match self.client.read_part(&result_note::part_key(task, name)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete_part(&self, task: TaskId, name: &str) -> io::Result<()> {
        self.client.delete(vec![result_note::part_key(task, name)]).await
    }

    async fn identity(&self) -> io::Result<Option<String>> {
        match self.client.read(IDENTITY).await {
            Ok((bytes, _)) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn claim_identity(&self, id: &str) -> io::Result<String> {
        let written = self.client.write_if(IDENTITY, Bytes::copy_from_slice(id.as_bytes()), None).await;
        if let Ok(ConditionalWrite::Written(_)) = written {
            return Ok(id.to_owned());
        }
        // Another node was faster, or an answer was lost: the object decides.
        match self.identity().await? {
            Some(found) => Ok(found),
            None => Err(written.err().unwrap_or_else(|| ErrorKind::NotFound.into())),
        }
    }

    fn identity_place(&self) -> String {
        format!("the object {} in {}", self.client.path(IDENTITY), self.url)
    }
}

fn read_piece(mut from: File) -> io::Result<(File, Bytes)> {
    let mut piece = vec![0; PIECE];
    let mut filled = 0;
    while filled < piece.len() {
        match io::Read::read(&mut from, &mut piece[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    piece.truncate(filled);
    Ok((from, piece.into()))
}

/// Returns when the last of the objects was written.
fn newest(objects: &[(String, ObjectMeta)]) -> Timestamp {
    let seconds = objects.iter().map(|(_, meta)| meta.last_modified.timestamp()).max().unwrap_or(0);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
