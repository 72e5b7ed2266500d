//! The bodies of requests, within limits of time.
//!
//! A body that brings no byte for too long fails. And a client that is refused while it still sends gets to read why: the rest
//! of its body is taken in and dropped, within limits. A connection that is closed with bytes unread is reset, and most clients
//! then lose the answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep};

/// The most that is taken in after an answer, in bytes.
const MOST: usize = 64 << 20;
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(5);

/// Lets a body fail that brings no byte for `silence`, and the rest of one that is not read to its end run dry.
pub fn linger(request: Request, silence: Duration) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    request.map(|body| {
        let body = Some(body.into_data_stream());
        Body::from_stream(Lingering { body, silence, deadline: None, waits: false })
    })
}

/// A body, until it has ended.
struct Lingering {
    body: Option<BodyDataStream>,
    silence: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The deadline is that of the next byte.
    waits: bool,
}

impl Lingering {
    /// Ready when no byte has come for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.silence)));
        if !std::mem::replace(&mut self.waits, true) {
            deadline.as_mut().reset(Instant::now() + self.silence);
        }
        deadline.as_mut().poll(context)
    }
}

impl Stream for Lingering {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let next = match body.poll_next_unpin(context) {
            Poll::Ready(next) => next.map(|piece| piece.map_err(io::Error::other)),
            Poll::Pending => {
                std::task::ready!(self.poll_silence(context));
                let text = format!("no byte of the body came for {} seconds", self.silence.as_secs_f64());
                Some(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
            }
        };
        self.waits = false;
        if !matches!(next, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let (Some(body), Ok(runtime)) = (self.body.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(tokio::time::timeout(LONGEST, drain(body)));
    }
}

async fn drain(mut body: BodyDataStream) {
    let mut taken = 0;
    while let Some(Ok(bytes)) = body.next().await {
        taken += bytes.len();
        if taken > MOST {
            return;
        }
    }
}
