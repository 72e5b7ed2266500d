//! What a connection is doing: waiting for a request, reading headers, answering, or unable to send.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};

use crate::config::HttpLimits;

/// The state of one connection. Clones share it.
#[derive(Clone)]
pub struct Activity(Arc<Shared>);

struct Shared {
    limits: HttpLimits,
    state: Mutex<State>,
}

struct State {
    /// Requests whose answers are not sent yet.
    requests: usize,
    /// The end of the last request, or the opening of the connection.
    idle_since: Instant,
    /// The first byte that came after that.
    headers_since: Option<Instant>,
    /// The protocol, once a byte has come.
    is_http2: Option<bool>,
    /// The first attempt to send since which the client has taken nothing.
    blocked_since: Option<Instant>,
}

/// A request under way, until it is dropped.
pub struct Request {
    activity: Activity,
    upgraded: bool,
}

impl Activity {
    /// A connection that was opened now. Its first request must arrive as headers must.
    pub fn new(limits: HttpLimits) -> Activity {
        let now = Instant::now();
        let state =
            State { requests: 0, idle_since: now, headers_since: Some(now), is_http2: None, blocked_since: None };
        Activity(Arc::new(Shared { limits, state: Mutex::new(state) }))
    }

    /// Notes that a request has begun.
    pub fn begin(&self) -> Request {
        self.state().requests += 1;
        Request { activity: self.clone(), upgraded: false }
    }

    /// Returns when a time limit of the connection has passed.
    pub async fn overdue(&self) {
        let HttpLimits { headers, idle, .. } = self.0.limits;
        let step = headers.min(idle) / 4;
        while !self.is_overdue() {
            sleep(step).await;
        }
    }

    fn is_overdue(&self) -> bool {
        let HttpLimits { headers, idle, send, .. } = self.0.limits;
        let state = self.state();
        let passed = |since: Option<Instant>, limit: Duration| since.is_some_and(|since| since.elapsed() >= limit);
        let waited = match state.headers_since {
            _ if state.requests > 0 => false,
            Some(since) => passed(Some(since), headers),
            None => passed(Some(state.idle_since), idle),
        };
        waited || passed(state.blocked_since, send)
    }

    fn has_read(&self, bytes: &[u8]) {
        let mut state = self.state();
        let is_http2 = *state.is_http2.get_or_insert_with(|| bytes.starts_with(b"PRI "));
        // In HTTP/2 the bytes may be those of an answer that is over, or of a ping.
        if state.requests == 0 && state.headers_since.is_none() && !is_http2 {
            state.headers_since = Some(Instant::now());
        }
    }

    fn has_written<T>(&self, written: &Poll<T>) {
        let mut state = self.state();
        if written.is_ready() {
            state.blocked_since = None;
        } else if state.blocked_since.is_none() {
            state.blocked_since = Some(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    /// Notes that the request opens a tunnel: the connection is never idle again.
    pub fn upgrade(&mut self) {
        self.upgraded = true;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.upgraded {
            return;
        }
        let mut state = self.activity.state();
        state.requests -= 1;
        state.idle_since = Instant::now();
        state.headers_since = None;
    }
}

/// A TCP stream whose activity is noted. It counts as an open connection until it is dropped, also after an upgrade to a
/// WebSocket.
pub struct Watched {
    stream: TcpStream,
    activity: Activity,
    _permit: OwnedSemaphorePermit,
}

impl Watched {
    /// The stream of a connection that was given a permit.
    pub fn new(stream: TcpStream, activity: Activity, permit: OwnedSemaphorePermit) -> Watched {
        Watched { stream, activity, _permit: permit }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.has_read(&buffer.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.has_written(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.activity.has_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
