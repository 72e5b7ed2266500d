//! A file elsewhere that is read by position: one request streams on while reading continues.
//!
//! Reading elsewhere opens another stream. Two of them stay open, each with the bytes that it delivered last, so that reading back
//! a little for an error text costs no request. An interrupted stream is opened again where it ended.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::transfer::{DownloadError, ReadCancelled, retry_delay};
use crate::lock::lock;
use crate::runner::Failure;

/// Maximum number of open streams.
const STREAMS: usize = 2;

/// Bytes that a stream keeps of what it delivered.
const KEPT: u64 = 1 << 20;

/// The rest of a file, in pieces.
pub type RemoteBytes = BoxStream<'static, Result<Bytes, DownloadError>>;

/// A file elsewhere whose bytes can be requested from any position. Its content does not change.
#[async_trait]
pub trait RangeSource: Send + Sync {
    /// Returns the bytes from `from` on, which is less than the size of the file.
    async fn open(&self, from: u64) -> Result<RemoteBytes, DownloadError>;
}

/// A file elsewhere.
pub struct RemoteFile {
    source: Box<dyn RangeSource>,
    size: u64,
    runtime: Handle,
    cancelled: CancellationToken,
    /// The most recently used one last.
    streams: Mutex<VecDeque<RemoteStream>>,
}

/// A stream, and the bytes from `start` to `end` that it delivered last.
struct RemoteStream {
    start: u64,
    end: u64,
    kept: VecDeque<Bytes>,
    rest: Option<RemoteBytes>,
}

impl RemoteFile {
    /// A file of `size` bytes. To be called on the runtime that fetches them.
    pub fn new(source: Box<dyn RangeSource>, size: u64) -> RemoteFile {
        let (runtime, cancelled) = (Handle::current(), CancellationToken::new());
        RemoteFile { source, size, runtime, cancelled, streams: Mutex::default() }
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Wakes those who wait for bytes.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Reads at `at`. Returns 0 at the end. Blocks.
    ///
    /// # Errors
    /// With a [`Failure`] inside if the bytes cannot be fetched, and [`ReadCancelled`] inside after [`RemoteFile::cancel`].
    pub fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let mut streams = lock(&self.streams);
        let place = streams.iter().position(|stream| (stream.start..=stream.end).contains(&at));
        let known = place.and_then(|place| streams.remove(place));
        let mut stream = known.unwrap_or_else(|| RemoteStream::at(at));
        if at == stream.end {
            let piece = self.fetch(&mut stream)?;
            stream.push(piece);
        }
        let read = stream.copy(buffer, at);
        streams.push_back(stream);
        if streams.len() > STREAMS {
            streams.pop_front();
        }
        Ok(read)
    }

    fn fetch(&self, stream: &mut RemoteStream) -> io::Result<Bytes> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancelled.cancelled() => Err(io::Error::other(ReadCancelled)),
                piece = self.next_piece(stream) => piece.map_err(io::Error::other),
            }
        })
    }

    /// Returns the next bytes of the stream. Opens it again if it is interrupted.
    async fn next_piece(&self, stream: &mut RemoteStream) -> Result<Bytes, Failure> {
        let mut attempts = 0;
        loop {
            let error = match &mut stream.rest {
                None => match self.source.open(stream.end).await {
                    Ok(rest) => {
                        stream.rest = Some(rest);
                        continue;
                    }
                    Err(error) => error,
                },
                Some(rest) => match rest.next().await {
                    Some(Ok(piece)) if piece.is_empty() => continue,
                    Some(Ok(piece)) => return Ok(piece),
                    Some(Err(error)) => error,
                    None => DownloadError::Retryable("the file ended before its last byte".to_owned(), None),
                },
            };
            stream.rest = None;
            let (delay, text) = retry_delay(error, &mut attempts)?;
            tracing::warn!(error = text, attempt = attempts, "reading a file failed; retrying");
            tokio::time::sleep(delay).await;
        }
    }
}

impl RemoteStream {
    fn at(start: u64) -> RemoteStream {
        RemoteStream { start, end: start, kept: VecDeque::new(), rest: None }
    }

    /// Adds the next piece, and drops the oldest ones beyond what is kept.
    fn push(&mut self, piece: Bytes) {
        self.end += piece.len() as u64;
        self.kept.push_back(piece);
        while let Some(first) = self.kept.front().map(|first| first.len() as u64)
            && self.end - self.start - first >= KEPT
        {
            self.kept.pop_front();
            self.start += first;
        }
    }

    /// Copies bytes at `at`, which is within what is kept.
    fn copy(&self, buffer: &mut [u8], at: u64) -> usize {
        let mut start = self.start;
        for piece in &self.kept {
            let end = start + piece.len() as u64;
            if at < end {
                let from = usize::try_from(at - start).unwrap_or(usize::MAX).min(piece.len());
                let length = buffer.len().min(piece.len() - from);
                buffer[..length].copy_from_slice(&piece[from..from + length]);
                return length;
            }
            start = end;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;

    use super::*;

    const PIECE: usize = 100_000;

    /// Bytes in memory, in streams that are interrupted after a few pieces.
    struct Broken {
        bytes: Vec<u8>,
        opened: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl RangeSource for Broken {
        async fn open(&self, from: u64) -> Result<RemoteBytes, DownloadError> {
            self.opened.fetch_add(1, Ordering::Relaxed);
            let rest = self.bytes[usize::try_from(from).unwrap()..].chunks(PIECE).map(Bytes::copy_from_slice);
            let pieces: Vec<_> = rest.take(7).map(Ok).collect();
            let broken = || Err(DownloadError::Retryable("the connection broke".to_owned(), None));
            Ok(stream::iter(pieces.into_iter().chain([broken()])).boxed())
        }
    }

    fn file(opened: &Arc<AtomicUsize>) -> (Vec<u8>, RemoteFile) {
        let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
        let source = Broken { bytes: bytes.clone(), opened: Arc::clone(opened) };
        let size = bytes.len() as u64;
        (bytes, RemoteFile::new(Box::new(source), size))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn every_byte_is_read_through_streams_that_break_off() {
        let opened = Arc::new(AtomicUsize::new(0));
        let (bytes, file) = file(&opened);
        let read = crate::spawn::spawn_blocking(move || {
            let (mut read, mut buffer) = (Vec::new(), vec![0; 33_333]);
            loop {
                match file.read_at(&mut buffer, read.len() as u64).unwrap() {
                    0 => return read,
                    length => read.extend_from_slice(&buffer[..length]),
                }
            }
        });
        assert!(read.await.unwrap() == bytes);
        assert_eq!(opened.load(Ordering::Relaxed), 6, "4,000,000 bytes in streams of 700,000");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn reading_back_a_little_needs_no_request() {
        let opened = Arc::new(AtomicUsize::new(0));
        let (bytes, file) = file(&opened);
        let reads = crate::spawn::spawn_blocking(move || {
            let mut buffer = [0; 1000];
            for at in [300_000, 350_000, 300_500, 400_000, 1_999, 450_000, 2_500] {
                let length = file.read_at(&mut buffer, at as u64).unwrap();
                assert!(length > 0 && buffer[..length] == bytes[at..at + length], "{at}");
            }
            assert_eq!(file.read_at(&mut buffer, 4_000_000).unwrap(), 0);
        });
        reads.await.unwrap();
        assert_eq!(opened.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_cancellation_ends_reading() {
        let (_, file) = file(&Arc::default());
        file.cancel();
        let read = crate::spawn::spawn_blocking(move || file.read_at(&mut [0], 7).unwrap_err().to_string());
        assert_eq!(read.await.unwrap(), ReadCancelled.to_string());
    }
}
