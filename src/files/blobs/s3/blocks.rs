//! Streams of objects, read in blocks. The next block is on its way while one is used, and each block is a request of its own: a
//! stream that a slow reader keeps for hours depends on no connection.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio_util::task::AbortOnDropHandle;

use super::client::BucketClient;
use super::error::{s3_error, unavailable};
use crate::files::blobs::ByteStream;
use crate::spawn::spawn;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 8 << 20;

/// Blocks that are on their way or wait while one is used.
const AHEAD: usize = 2;

/// A part of an object that one request reads.
pub(super) struct Block {
    pub path: Path,
    /// ETag that the object must have.
    pub tag: Option<String>,
    pub range: Range<u64>,
}

/// Returns the bytes of all blocks in order, and then an error if `wanted` more bytes are missing.
pub(super) fn stream_blocks(
    client: BucketClient,
    blocks: impl Iterator<Item = Block> + Send + 'static,
    lacking: u64,
) -> ByteStream {
    let fetch = move |block| AbortOnDropHandle::new(spawn(read_block(client.clone(), block)));
    let fetched = stream::iter(blocks).map(fetch).buffered(AHEAD).map(|joined| match joined {
        Ok(pieces) => pieces,
        Err(error) => Err(io::Error::other(error)),
    });
    let bytes = fetched.map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok))).try_flatten();
    let lack = (lacking > 0).then(|| {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the file lacks {lacking} of the bytes expected")))
    });
    bytes.chain(stream::iter(lack)).boxed()
}

async fn read_block(client: BucketClient, block: Block) -> io::Result<Vec<Bytes>> {
    let length = block.range.end - block.range.start;
    let options =
        GetOptions { range: Some(GetRange::Bounded(block.range)), if_match: block.tag, ..GetOptions::default() };
    let found = client.bulk.get_opts(&block.path, options).await.map_err(s3_error)?;
    let pieces: Vec<Bytes> = found.into_stream().map_err(s3_error).try_collect().await?;
    let read: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    if read != length {
        return Err(unavailable(format!("S3 sent {read} of {length} bytes")));
    }
    Ok(pieces)
}

/// Splits a range into ranges of at most a block.
pub(super) fn split(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let starts = (range.start..range.end).step_by(usize::try_from(BLOCK).unwrap_or(usize::MAX));
    starts.map(move |start| start..range.end.min(start + BLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_a_range_exactly() {
        assert_eq!(split(5..5).count(), 0);
        assert_eq!((split(5..6).next(), split(5..6).count()), (Some(5..6), 1));
        assert_eq!(split(1..BLOCK + 2).collect::<Vec<_>>(), [1..BLOCK + 1, BLOCK + 1..BLOCK + 2]);
    }
}
