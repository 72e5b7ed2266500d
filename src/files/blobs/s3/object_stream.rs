//! Streams of objects. One request reads all that is wanted of an object, and its bytes are passed on as they come: a slow reader
//! costs no memory, because S3 waits for it. An interrupted request is repeated for the rest.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio_util::task::AbortOnDropHandle;

use super::client::BucketClient;
use super::error::{s3_error, unavailable};
use crate::files::FileFault;
use crate::files::blobs::ByteStream;
use crate::spawn::spawn;

/// Objects that are requested: the one that is read, and the next one.
const REQUESTED: usize = 2;

/// Consecutive requests for the rest of an object that may be interrupted without a byte.
const ATTEMPTS: u32 = 2;

/// A part of an object that is read.
pub(super) struct ObjectPart {
    pub path: Path,
    /// ETag that the object must have.
    pub tag: Option<String>,
    pub range: Range<u64>,
}

/// Returns the bytes of the parts, and an error if bytes are `lacking` after them.
pub(super) fn stream_parts(
    client: BucketClient,
    parts: impl Iterator<Item = ObjectPart> + Send + 'static,
    lacking: u64,
) -> ByteStream {
    let request = move |part| AbortOnDropHandle::new(spawn(RequestedPart::request(client.clone(), part)));
    let requested = stream::iter(parts).map(request).buffered(REQUESTED);
    let requested = requested.map(|joined| joined.map_err(io::Error::other).flatten());
    let bytes = requested.map_ok(|part| stream::try_unfold(part, RequestedPart::next)).try_flatten();
    let lack = (lacking > 0).then(|| {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the file lacks {lacking} of the bytes expected")))
    });
    bytes.chain(stream::iter(lack)).boxed()
}

/// A part whose bytes come. Its range begins after those that were passed on.
struct RequestedPart {
    client: BucketClient,
    part: ObjectPart,
    body: BoxStream<'static, object_store::Result<Bytes>>,
    /// Requests since the last byte.
    attempts: u32,
}

impl RequestedPart {
    async fn request(client: BucketClient, part: ObjectPart) -> io::Result<RequestedPart> {
        let mut requested = RequestedPart { client, part, body: stream::empty().boxed(), attempts: 0 };
        requested.request_rest().await?;
        Ok(requested)
    }

    /// Requests what was not passed on, of the version that the first request found.
    async fn request_rest(&mut self) -> io::Result<()> {
        let range = Some(GetRange::Bounded(self.part.range.clone()));
        let options = GetOptions { range, if_match: self.part.tag.clone(), ..GetOptions::default() };
        let found = self.client.bulk.get_opts(&self.part.path, options).await.map_err(s3_error)?;
        self.part.tag = self.part.tag.take().or_else(|| found.meta.e_tag.clone());
        self.body = found.into_stream();
        Ok(())
    }

    /// Returns the next bytes, and the part after them. None at the end.
    async fn next(mut self) -> io::Result<Option<(Bytes, RequestedPart)>> {
        while !self.part.range.is_empty() {
            let error = match self.body.next().await {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(piece)) => return self.taken(piece).map(Some),
                Some(Err(error)) => s3_error(error),
                None => unavailable("S3 ended an answer too early"),
            };
            if self.attempts == ATTEMPTS || FileFault::of(&error) != FileFault::Unavailable {
                return Err(error);
            }
            self.attempts += 1;
            tracing::info!(object = %self.part.path, from = self.part.range.start, %error, "a response of S3 was interrupted; requesting the rest");
            self.request_rest().await?;
        }
        Ok(None)
    }

    fn taken(mut self, piece: Bytes) -> io::Result<(Bytes, RequestedPart)> {
        self.part.range.start += piece.len() as u64;
        self.attempts = 0;
        match self.part.range.start <= self.part.range.end {
            true => Ok((piece, self)),
            false => Err(io::Error::other("S3 sent more bytes than requested")),
        }
    }
}
