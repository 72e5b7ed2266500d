//! Reading of request bodies with limits of size, time and memory.

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

use super::{refusal::Refusal, settings::Settings};

/// Reads a complete body of at most `limit` bytes within `patience`.
pub async fn read_all(body: &mut BodyDataStream, limit: usize, patience: Duration) -> Result<Vec<u8>, Refusal> {
    let reading = async {
        let mut all = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| match is_silent(&error) {
                true => Refusal::timeout("Timed out waiting for data of the request."),
                false => Refusal::bad_request("The request is incomplete: the connection broke."),
            })?;
            if all.len() + chunk.len() > limit {
                let text = format!("The request exceeds {limit} bytes.");
                return Err(Refusal::too_large(text));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    };
    timeout(patience, reading).await.unwrap_or_else(|_| Err(Refusal::timeout("The request did not arrive in time.")))
}

/// Returns true if a body failed because no data arrived in time.
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

/// Reads the rest of a refused request for at most `limit`. Otherwise a client that is still sending would see a reset connection
/// instead of the response.
pub fn drain(mut body: BodyDataStream, limit: Duration) {
    tokio::spawn(async move {
        let rest = async { while let Some(Ok(_)) = body.next().await {} };
        let _ = timeout(limit, rest).await;
    });
}

/// The body of a multipart request. The parser reads until no data is ready, so this source pauses after each chunk. It fails
/// if the parser buffers too much.
pub struct MultipartSource {
    body: BodyDataStream,
    unused: Arc<AtomicUsize>,
    max_unused: usize,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    pause: bool,
}

impl MultipartSource {
    /// Creates a source that fails if it delivers no data in time, or too much of it without the end of a part's headers.
    pub fn new(body: Body, settings: &Settings) -> Self {
        let patience = settings.read_timeout;
        Self {
            body: body.into_data_stream(),
            unused: Arc::default(),
            max_unused: settings.max_part_header_bytes,
            patience,
            deadline: Box::pin(sleep(patience)),
            pause: false,
        }
    }

    /// Returns the counter of bytes read since the reader last set it to 0.
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

impl Stream for MultipartSource {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.unused.load(Ordering::Relaxed) > self.max_unused {
            let error = io::Error::other("the headers of a part are too long");
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
