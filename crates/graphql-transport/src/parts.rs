//! Subscriptions as `multipart/mixed`, in the format of Apollo's clients.
//!
//! The boundary is sent directly after each part, so clients see an event when it happens.

use async_graphql::{Response, ServerError};
use axum::{
    body::Body,
    http::{HeaderValue, header},
};
use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use serde::Serialize;
use tokio::time::{Instant, interval_at};

use super::{
    codes,
    negotiate::{self, Media, RequestOutcome},
    settings::Settings,
};

const CONTENT_TYPE: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0";

/// A part with a result of the subscription.
#[derive(Serialize)]
struct ResultPart<'a> {
    payload: &'a Response,
}

/// A part with an error, if the result cannot be serialized.
#[derive(Serialize)]
struct ErrorPart {
    payload: Option<()>,
    errors: [ServerError; 1],
}

/// Responds with the results as parts. An invalid subscription gets the response of an invalid query.
pub fn answer(
    mut results: BoxStream<'static, Response>,
    media: Media,
    settings: &Settings,
) -> axum::response::Response {
    let first = results.next().now_or_never();
    let (first, ended) = match first {
        Some(Some(response)) if codes::is_request_error(&response) => {
            return negotiate::answer(media, RequestOutcome::RequestError, response);
        }
        Some(Some(response)) => (Some(response), false),
        Some(None) => (None, true),
        None => (None, false),
    };
    let rest = if ended { stream::empty().boxed() } else { results };
    let results = stream::iter(first).chain(rest).boxed();
    let mut http = axum::response::Response::new(Body::from_stream(
        body(results, settings).map(Ok::<_, std::convert::Infallible>),
    ));
    let headers = http.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    http
}

/// Returns the results between boundaries, until they end or the server shuts down.
fn body(results: BoxStream<'static, Response>, settings: &Settings) -> BoxStream<'static, Bytes> {
    let period = settings.heartbeat;
    let ticks = interval_at(Instant::now() + period, period);
    let beats = stream::unfold(ticks, |mut ticks| async {
        ticks.tick().await;
        Some((Some(part(b"{}")), ticks))
    });
    let ending = stream::once(ready(None));
    let parts = results.map(|response| Some(result(&response))).chain(ending);
    let all = stream::select(parts, beats)
        .take_while(|part| ready(part.is_some()))
        .filter_map(ready)
        .take_until(settings.shutdown.clone().cancelled_owned());
    stream::once(ready(Bytes::from_static(b"--graphql")))
        .chain(all)
        .chain(stream::once(ready(Bytes::from_static(b"--\r\n"))))
        .boxed()
}

fn result(response: &Response) -> Bytes {
    let json = serde_json::to_vec(&ResultPart { payload: response }).or_else(|error| {
        let errors = [codes::internal(&error)];
        serde_json::to_vec(&ErrorPart { payload: None, errors })
    });
    part(&json.unwrap_or_else(|_| b"{}".to_vec()))
}

/// Returns a part followed by the boundary.
fn part(json: &[u8]) -> Bytes {
    let head: &[u8] = b"\r\ncontent-type: application/json\r\n\r\n";
    [head, json, b"\r\n--graphql"].concat().into()
}
