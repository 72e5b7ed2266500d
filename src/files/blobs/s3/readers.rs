//! Blobs that are open for streaming.

use std::ops::Range;
use std::sync::Arc;

use object_store::path::Path;

use super::client::BucketClient;
use super::object_stream::{ObjectPart, stream_parts};
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
    /// ETag that it must have. None if no object of that name can be written again.
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
        let parts = (first..objects.len()).map_while(move |n| {
            let ReadObject { path, tag, range } = &objects[n];
            let common = range.start.max(there.start)..range.end.min(there.end);
            (!common.is_empty()).then(|| {
                let range = common.start - range.start..common.end - range.start;
                ObjectPart { path: path.clone(), tag: tag.clone(), range }
            })
        });
        stream_parts(self.client.clone(), parts, lacking)
    }
}
