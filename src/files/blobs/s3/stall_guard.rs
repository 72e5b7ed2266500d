//! Requests for parts of files: they may take as long as they need, as long as something moves.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use object_store::client::{
    HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;
use tokio::sync::Notify;

/// Maximum time in which nothing moves: no byte is taken, and no answer and no byte of it comes.
const STALL: Duration = Duration::from_secs(10);

/// Maximum time until the answer to a request that completes an upload. S3 may have much to do.
const COMPLETION: Duration = Duration::from_secs(30);

/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;

/// A client that gives a request up once nothing moves.
#[derive(Debug)]
pub(super) struct StallGuard(pub reqwest::Client);

#[async_trait]
impl HttpService for StallGuard {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let patience = if request.method() == Method::POST { COMPLETION } else { STALL };
        let moved = Arc::new(Notify::new());
        let (mut head, body) = request.into_parts();
        let body = match body.content_length() {
            0 => reqwest::Body::default(),
            length => {
                head.headers.entry(CONTENT_LENGTH).or_insert(length.into());
                reqwest::Body::wrap(StreamBody::new(observed(body, Arc::clone(&moved))))
            }
        };
        let request = http::Request::from_parts(head, body).try_into().map_err(lost)?;
        let answer = self.0.execute(request);
        let answer: http::Response<reqwest::Body> = while_moving(&moved, patience, answer).await?.map_err(lost)?.into();
        Ok(answer.map(|body| HttpResponseBody::new(StreamBody::new(guarded(body)))))
    }
}

/// Returns the body in small pieces. Notifies when each is taken.
fn observed(body: HttpRequestBody, moved: Arc<Notify>) -> impl Stream<Item = Result<Frame<Bytes>, HttpError>> + Send {
    let pieces = body.into_data_stream().map_ok(|mut rest| {
        let next = move || (!rest.is_empty()).then(|| Ok(Frame::data(rest.split_to(rest.len().min(PIECE)))));
        stream::iter(std::iter::from_fn(next))
    });
    pieces.try_flatten().inspect(move |_| moved.notify_one())
}

/// Waits for the answer. The time starts again whenever a piece of the request is taken.
async fn while_moving<T>(moved: &Notify, patience: Duration, answer: impl Future<Output = T>) -> Result<T, HttpError> {
    let mut answer = pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return Ok(answer),
            () = moved.notified() => {}
            () = tokio::time::sleep(patience) => return Err(stalled(patience)),
        }
    }
}

/// Returns the body of an answer. The time that its reader takes does not count.
fn guarded(body: reqwest::Body) -> impl Stream<Item = Result<Frame<Bytes>, HttpError>> + Send + Sync {
    stream::try_unfold(body, async |mut body| {
        let frame = tokio::time::timeout(STALL, body.frame()).await.map_err(|_| stalled(STALL))?;
        Ok(frame.transpose().map_err(lost)?.map(|frame| (frame, body)))
    })
}

fn stalled(patience: Duration) -> HttpError {
    let text = format!("no data transferred for {} s", patience.as_secs());
    HttpError::new(HttpErrorKind::Timeout, io::Error::new(io::ErrorKind::TimedOut, text))
}

/// Translates an error. All these requests may be repeated.
fn lost(error: reqwest::Error) -> HttpError {
    let kind = match &error {
        error if error.is_connect() => HttpErrorKind::Connect,
        error if error.is_timeout() => HttpErrorKind::Timeout,
        error if error.is_decode() => HttpErrorKind::Decode,
        _ => HttpErrorKind::Interrupted,
    };
    HttpError::new(kind, error.without_url())
}
