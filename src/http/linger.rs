//! A client that is refused while it still sends gets to read why: the rest of its body is taken in and dropped, within
//! limits. A connection that is closed with bytes unread is reset, and most clients then lose the answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// The most that is taken in after an answer, in bytes.
const MOST: usize = 64 << 20;
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(5);

/// Lets the rest of a body that is not read to its end run dry.
pub fn linger(request: Request) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    request.map(|body| Body::from_stream(Lingering(Some(body.into_data_stream()))))
}

/// A body, until it has ended.
struct Lingering(Option<BodyDataStream>);

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.0.as_mut() else { return Poll::Ready(None) };
        let next = body.poll_next_unpin(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        next
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let (Some(body), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
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
