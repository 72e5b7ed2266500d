//! Subscriptions as `multipart/mixed`, as Apollo's clients read them.
//!
//! The boundary follows each part at once, so an event is delivered when it happens.

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
    negotiate::{self, Media, Outcome},
    settings::Settings,
};

const CONTENT_TYPE: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0";

/// One part: a result of the subscription.
#[derive(Serialize)]
struct Part<'a> {
    payload: &'a Response,
}

/// What a part holds where its result cannot be written.
#[derive(Serialize)]
struct Failure {
    payload: Option<()>,
    errors: [ServerError; 1],
}

/// Answers with the results as parts; a subscription that is wrong in itself is answered at once
/// as a query would be.
pub fn answer(
    mut results: BoxStream<'static, Response>,
    media: Media,
    settings: &Settings,
) -> axum::response::Response {
    let first = results.next().now_or_never();
    let (first, ended) = match first {
        Some(Some(response)) if codes::is_request_error(&response) => {
            return negotiate::answer(media, Outcome::RequestError, response);
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

/// The results between their boundaries, until they end or the server does.
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
    let json = serde_json::to_vec(&Part { payload: response }).or_else(|error| {
        let errors = [codes::internal(&error)];
        serde_json::to_vec(&Failure { payload: None, errors })
    });
    part(&json.unwrap_or_else(|_| b"{}".to_vec()))
}

/// A part and the boundary behind it.
fn part(json: &[u8]) -> Bytes {
    let head: &[u8] = b"\r\ncontent-type: application/json\r\n\r\n";
    [head, json, b"\r\n--graphql"].concat().into()
}
