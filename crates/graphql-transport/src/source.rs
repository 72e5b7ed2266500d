//! Reading the bodies of requests, within limits of size, time and memory.

use std::{
    error::Error,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::refusal::Refusal;

/// The most that is read ahead without finding the end of a part's headers, in bytes.
const AHEAD: usize = 1 << 20;

/// How long the rest of a refused request is read.
pub const DRAIN: Duration = Duration::from_secs(5);

/// Reads a whole body of at most `limit` bytes, all of it within `patience`.
pub async fn read_all(body: &mut BodyDataStream, limit: usize, patience: Duration) -> Result<Vec<u8>, Refusal> {
    let reading = async {
        let mut all = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| match is_silent(&error) {
                true => Refusal::timeout("No byte of the request came for too long."),
                false => Refusal::bad_request("The request was cut off before its end."),
            })?;
            if all.len() + chunk.len() > limit {
                let text = format!("The request is larger than {limit} bytes.");
                return Err(Refusal::too_large(text));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    };
    timeout(patience, reading).await.unwrap_or_else(|_| Err(Refusal::timeout("The request took too long to arrive.")))
}

/// Whether a body failed because it brought no byte for too long.
pub fn is_silent(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Reads what is left of a refused request for a short while: a client that is still sending
/// would otherwise see its connection reset and not the answer.
pub fn drain(mut body: BodyDataStream) {
    tokio::spawn(async move {
        let rest = async { while let Some(Ok(_)) = body.next().await {} };
        let _ = timeout(DRAIN, rest).await;
    });
}

/// The body of a multipart request. The parser of parts reads on until its source has nothing
/// ready, so this source pauses after each chunk, and fails where nothing of what was read is used.
pub struct Source {
    body: BodyDataStream,
    unused: Arc<AtomicUsize>,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    pause: bool,
}

impl Source {
    /// A source that fails where `patience` passes without a byte.
    pub fn new(body: Body, patience: Duration) -> Self {
        Self {
            body: body.into_data_stream(),
            unused: Arc::default(),
            patience,
            deadline: Box::pin(sleep(patience)),
            pause: false,
        }
    }

    /// How many bytes were read since the reader last set this to 0.
    pub fn unused(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.unused)
    }

    fn next_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Poll::Ready(chunk) = self.body.poll_next_unpin(cx) else {
            ready!(self.deadline.as_mut().poll(cx));
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        };
        let next = Instant::now() + self.patience;
        self.deadline.as_mut().reset(next);
        Poll::Ready(chunk.map(|chunk| chunk.map_err(io::Error::other)))
    }
}

impl Stream for Source {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.unused.load(Ordering::Relaxed) > AHEAD {
            let error = io::Error::other("the headers of a part have no end");
            return Poll::Ready(Some(Err(error)));
        }
        if std::mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let chunk = ready!(self.next_chunk(cx));
        if let Some(Ok(bytes)) = &chunk {
            self.pause = true;
            self.unused.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        Poll::Ready(chunk)
    }
}
