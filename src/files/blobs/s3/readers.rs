//! Blobs that are open for streaming.

use std::ops::Range;
use std::sync::Arc;

use object_store::path::Path;

use super::blocks::{Block, split, stream_blocks};
use super::client::BucketClient;
use crate::files::blobs::{BlobIdentity, BlobReader, ByteStream};

/// A blob in one object or in several, one after the other.
pub(super) struct BucketReader {
    pub client: BucketClient,
    pub objects: Arc<[ReadObject]>,
    pub identity: BlobIdentity,
}

/// An object of a blob.
pub(super) struct ReadObject {
    pub path: Path,
    /// ETag that it must have. None if nobody can write an object of that name again.
    pub tag: Option<String>,
    /// Its bytes in the blob.
    pub range: Range<u64>,
}

impl BlobReader for BucketReader {
    fn identity(&self) -> &BlobIdentity {
        &self.identity
    }

    fn bytes(&self, from: u64, length: u64) -> ByteStream {
        let wanted = from..from.saturating_add(length);
        let there = wanted.start.min(self.identity.size)..wanted.end.min(self.identity.size);
        let lacking = length - (there.end - there.start);
        let objects = Arc::clone(&self.objects);
        let first = objects.partition_point(|object| object.range.end <= there.start);
        let blocks = (first..objects.len()).map_while(move |n| {
            let object = &objects[n];
            let common = object.range.start.max(there.start)..object.range.end.min(there.end);
            let start = object.range.start;
            let (path, tag) = (object.path.clone(), object.tag.clone());
            let block = move |range| Block { path: path.clone(), tag: tag.clone(), range };
            (common.start < common.end).then(|| split(common.start - start..common.end - start).map(block))
        });
        stream_blocks(self.client.clone(), blocks.flatten(), lacking)
    }
}
