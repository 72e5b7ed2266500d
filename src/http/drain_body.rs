//! Time limits of request bodies.
//!
//! A body that delivers no byte for too long fails. The rest of a body that no handler reads is received and dropped, within
//! limits: a connection that closes with unread bytes is reset, and most clients then lose the response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep};

use crate::config::HttpLimits;
use crate::spawn::spawn;

/// Limits of a body.
#[derive(Clone, Copy)]
pub struct BodyLimits {
    /// Maximum time without a byte.
    silence: Duration,
    /// Maximum time to drain it.
    drain: Duration,
    /// Maximum bytes that are drained.
    max_drained: usize,
}

impl BodyLimits {
    /// Returns the limits of the settings.
    pub fn of(limits: &HttpLimits) -> BodyLimits {
        BodyLimits { silence: limits.body_silence, drain: limits.drain, max_drained: limits.max_drain_bytes }
    }
}

/// Makes the body fail if it delivers no byte for too long, and drains what the handler leaves unread.
pub fn drain_body(request: Request, limits: BodyLimits) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    request.map(|body| {
        let body = Some(body.into_data_stream());
        Body::from_stream(DrainedBody { body, limits, deadline: None, waiting: false })
    })
}

/// A request body. Dropped before its end, it is drained.
struct DrainedBody {
    body: Option<BodyDataStream>,
    limits: BodyLimits,
    deadline: Option<Pin<Box<Sleep>>>,
    /// True if `deadline` counts from the last byte.
    waiting: bool,
}

impl DrainedBody {
    /// Ready when no byte has arrived for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.limits.silence)));
        if !std::mem::replace(&mut self.waiting, true) {
            deadline.as_mut().reset(Instant::now() + self.limits.silence);
        }
        deadline.as_mut().poll(context)
    }
}

impl Stream for DrainedBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let next = match body.poll_next_unpin(context) {
            Poll::Ready(next) => next.map(|piece| piece.map_err(io::Error::other)),
            Poll::Pending => {
                std::task::ready!(self.poll_silence(context));
                let text =
                    format!("the request body delivered no data for {} seconds", self.limits.silence.as_secs_f64());
                Some(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
            }
        };
        self.waiting = false;
        if !matches!(next, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        let (Some(body), Ok(_)) = (self.body.take(), tokio::runtime::Handle::try_current()) else { return };
        let BodyLimits { drain: limit, max_drained, .. } = self.limits;
        spawn(tokio::time::timeout(limit, drain(body, max_drained)));
    }
}

async fn drain(mut body: BodyDataStream, limit: usize) {
    let mut drained = 0;
    while let Some(Ok(bytes)) = body.next().await {
        drained += bytes.len();
        if drained > limit {
            return;
        }
    }
}
