//! The stream of a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::activity::Activity;
use crate::spawn::spawn;

/// Bytes that are read at once and dropped.
const CHUNK: usize = 16 << 10;

/// A TCP stream with its activity. It counts as an open connection until it is dropped, also after an upgrade to a WebSocket.
///
/// A WebSocket that ends before its client does is read on for a short time: a connection that closes with unread bytes is reset,
/// and the client would lose the Close frame.
pub struct TrackedStream {
    /// None once it is dropped.
    stream: Option<TcpStream>,
    activity: Activity,
    /// Maximum time for the client of a WebSocket that has ended to end it too.
    read_on: Duration,
    /// None once it is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

impl TrackedStream {
    /// Wraps the stream of a connection that holds a permit. After a WebSocket it is read on for at most `read_on`.
    pub fn new(
        stream: TcpStream,
        activity: Activity,
        read_on: Duration,
        permit: OwnedSemaphorePermit,
    ) -> TrackedStream {
        TrackedStream { stream: Some(stream), activity, read_on, permit: Some(permit) }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream()?.poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.has_read(&buffer.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(context, bytes);
        self.activity.has_written(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(context, parts);
        self.activity.has_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(TcpStream::is_write_vectored)
    }
}

impl Drop for TrackedStream {
    fn drop(&mut self) {
        // Without a runtime the program ends.
        let runs = self.activity.is_upgraded() && Handle::try_current().is_ok();
        if let (true, Some(stream), Some(permit)) = (runs, self.stream.take(), self.permit.take()) {
            spawn(read_on(stream, self.read_on, permit));
        }
    }
}

/// Ends the stream, and drops what the client still sends until it ends the stream too.
async fn read_on(mut stream: TcpStream, limit: Duration, _permit: OwnedSemaphorePermit) {
    let rest = async {
        stream.shutdown().await?;
        let mut dropped = vec![0; CHUNK];
        while stream.read(&mut dropped).await? > 0 {}
        io::Result::Ok(())
    };
    if let Ok(Err(error)) = timeout(limit, rest).await {
        tracing::debug!(%error, "a WebSocket broke while it closed");
    }
}
