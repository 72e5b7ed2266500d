//! Streaming a file: piece by piece, in a few buffers that are used again and again.
//!
//! Bytes in the page cache are read at once, without a change of thread. Only bytes that must come from the disk are read on a blocking
//! thread. So a file that was just written costs two copies of its bytes and no wait.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use crate::spawn::spawn_blocking;

use super::blocking::blocking;
use super::{BlobIdentity, BlobReader, ByteStream};

/// Bytes per piece: few enough to stay in a core's cache between the two copies.
const PIECE: usize = 128 * 1024;

/// An open file.
#[derive(Debug)]
pub(super) struct FileReader {
    file: Arc<File>,
    identity: BlobIdentity,
}

impl FileReader {
    /// Opens a file.
    pub(super) async fn open(path: PathBuf) -> io::Result<FileReader> {
        blocking(move || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            let modified = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
            let identity = BlobIdentity { size: metadata.len(), modified, version: None };
            Ok(FileReader { file: Arc::new(file), identity })
        })
        .await
    }
}

impl BlobReader for FileReader {
    fn identity(&self) -> &BlobIdentity {
        &self.identity
    }

    fn bytes(&self, from: u64, length: u64) -> ByteStream {
        let pieces = FilePieces { file: Arc::clone(&self.file), at: from, left: length, sent: VecDeque::new() };
        let next = |mut pieces: FilePieces| async move {
            let piece = pieces.next().await?;
            Ok(piece.map(|piece| (piece, pieces)))
        };
        stream::try_unfold(pieces, next).boxed()
    }
}

/// The rest of a stream.
struct FilePieces {
    file: Arc<File>,
    at: u64,
    left: u64,
    /// Buffers that were handed out, the oldest first. One that has no other user any more takes the next piece.
    sent: VecDeque<Bytes>,
}

impl FilePieces {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let wanted = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        if wanted == 0 {
            return Ok(None);
        }
        let mut buffer = self.buffer();
        let read = match read_cached(&self.file, &mut buffer[..wanted], self.at) {
            Some(read) => read,
            None => {
                let (file, at) = (Arc::clone(&self.file), self.at);
                let read = spawn_blocking(move || {
                    let read = file.read_at(&mut buffer[..wanted], at)?;
                    io::Result::Ok((buffer, read))
                });
                let (filled, read) = read.await??;
                buffer = filled;
                read
            }
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than expected"));
        }
        self.at += read as u64;
        self.left -= read as u64;
        let buffer = buffer.freeze();
        let piece = buffer.slice(..read);
        self.sent.push_back(buffer);
        Ok(Some(piece))
    }

    fn buffer(&mut self) -> BytesMut {
        let oldest = self.sent.pop_front().map(Bytes::try_into_mut);
        match oldest {
            Some(Ok(buffer)) => buffer,
            Some(Err(in_use)) => {
                self.sent.push_front(in_use);
                BytesMut::zeroed(PIECE)
            }
            None => BytesMut::zeroed(PIECE),
        }
    }
}

/// Reads from the page cache. `None` if the read would wait for the disk, or if the system cannot predict it.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let read = preadv2(file, &mut [io::IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT);
    read.ok().filter(|read| *read > 0)
}

/// Only Linux can predict it.
#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn read(reader: &FileReader, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = reader.bytes(from, length).try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn any_range_of_a_file_is_read_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..PIECE * 3 + 77).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let reader = FileReader::open(path).await.unwrap();
        let size = content.len() as u64;
        for (from, length) in [(0, size), (0, 0), (5, 1), (PIECE as u64 - 1, 2), (77, 2 * PIECE as u64), (size, 0)] {
            let expected = &content[usize::try_from(from).unwrap()..][..usize::try_from(length).unwrap()];
            assert_eq!(read(&reader, from, length).await.unwrap(), expected, "{length} from {from}");
        }
        assert_eq!(read(&reader, 1, size).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(reader.identity().size, size);
    }

    #[tokio::test]
    async fn buffers_are_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; PIECE * 20]).unwrap();
        let reader = FileReader::open(path).await.unwrap();
        let mut addresses = std::collections::BTreeSet::new();
        let mut pieces = std::pin::pin!(reader.bytes(0, PIECE as u64 * 20));
        while let Some(piece) = pieces.try_next().await.unwrap() {
            addresses.insert(piece.as_ptr().addr());
        }
        assert_eq!(addresses.len(), 1);
    }
}
