//! Activity of a connection: waiting for a request, reading headers, responding, or blocked while sending.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::HttpLimits;
use crate::lock::lock;

/// Activity of one connection. Clones share it.
#[derive(Clone)]
pub struct Activity(Arc<ActivityInner>);

struct ActivityInner {
    limits: HttpLimits,
    state: Mutex<ConnectionState>,
}

struct ConnectionState {
    /// Requests whose responses are not completely sent.
    requests: usize,
    /// Time at which the last request ended, or the connection opened.
    idle_since: Instant,
    /// Time of the first byte received after that.
    headers_since: Option<Instant>,
    /// True for HTTP/2. None before the first byte.
    is_http2: Option<bool>,
    /// True if the connection became a WebSocket.
    is_upgraded: bool,
    /// Time of the first attempt to send since the client last accepted a byte.
    blocked_since: Option<Instant>,
}

/// An active request, until it is dropped.
pub struct ActiveRequest {
    activity: Activity,
    upgraded: bool,
}

impl Activity {
    /// Begins the activity of a new connection. Its first request must arrive within the header timeout.
    pub fn new(limits: HttpLimits) -> Activity {
        let now = Instant::now();
        let state = ConnectionState {
            requests: 0,
            idle_since: now,
            headers_since: Some(now),
            is_http2: None,
            is_upgraded: false,
            blocked_since: None,
        };
        Activity(Arc::new(ActivityInner { limits, state: Mutex::new(state) }))
    }

    /// Records the start of a request.
    pub fn begin(&self) -> ActiveRequest {
        self.state().requests += 1;
        ActiveRequest { activity: self.clone(), upgraded: false }
    }

    /// Returns true if the client speaks HTTP/2. False before its first byte.
    pub fn is_http2(&self) -> bool {
        self.state().is_http2 == Some(true)
    }

    /// Records that the connection becomes a WebSocket.
    pub fn upgrade(&self) {
        self.state().is_upgraded = true;
    }

    /// Returns true if the connection became a WebSocket.
    pub fn is_upgraded(&self) -> bool {
        self.state().is_upgraded
    }

    /// Returns when a timeout of the connection has passed.
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
        let waited_too_long = match state.headers_since {
            _ if state.requests > 0 => false,
            Some(since) => passed(Some(since), headers),
            None => passed(Some(state.idle_since), idle),
        };
        waited_too_long || passed(state.blocked_since, send)
    }

    /// Records bytes from the client.
    pub fn has_read(&self, bytes: &[u8]) {
        let mut state = self.state();
        let is_http2 = *state.is_http2.get_or_insert_with(|| bytes.starts_with(b"PRI "));
        // In HTTP/2 the bytes may belong to a finished response, or to a ping.
        if state.requests == 0 && state.headers_since.is_none() && !is_http2 {
            state.headers_since = Some(Instant::now());
        }
    }

    /// Records an attempt to send.
    pub fn has_written<T>(&self, written: &Poll<T>) {
        let mut state = self.state();
        if written.is_ready() {
            state.blocked_since = None;
        } else if state.blocked_since.is_none() {
            state.blocked_since = Some(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, ConnectionState> {
        lock(&self.0.state)
    }
}

impl ActiveRequest {
    /// Records that the request opens a tunnel. The connection is never idle again.
    pub fn upgrade(&mut self) {
        self.upgraded = true;
    }
}

impl Drop for ActiveRequest {
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
