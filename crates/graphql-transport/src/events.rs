//! Results as Server-Sent Events, in the distinct connections mode of graphql-sse.

use async_graphql::Response;
use axum::{
    body::Body,
    http::{HeaderValue, header},
};
use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, interval_at};

use super::{codes, settings::Settings};

/// A comment, which clients ignore.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Responds with an event for each result, and one at their end. At shutdown the stream ends without it, and clients connect again.
pub fn answer(results: BoxStream<'static, Response>, settings: &Settings) -> axum::response::Response {
    let events = body(results, settings).map(Ok::<_, std::convert::Infallible>);
    let mut http = axum::response::Response::new(Body::from_stream(events));
    let headers = http.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    // nginx would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    http
}

/// Returns the events, with a comment at the beginning and in each period: a proxy may close a connection that is silent.
fn body(results: BoxStream<'static, Response>, settings: &Settings) -> BoxStream<'static, Bytes> {
    let ticks = interval_at(Instant::now() + settings.heartbeat, settings.heartbeat);
    let beats = stream::unfold(ticks, |mut ticks| async {
        ticks.tick().await;
        Some((Some(COMMENT), ticks))
    });
    let complete = Bytes::from_static(b"event: complete\ndata:\n\n");
    let events = results.map(|response| Some(event(&response))).chain(stream::iter([Some(complete), None]));
    let all = stream::select(events, beats)
        .take_while(|event| ready(event.is_some()))
        .filter_map(ready)
        .take_until(settings.shutdown.clone().cancelled_owned());
    stream::once(ready(COMMENT)).chain(all).boxed()
}

fn event(response: &Response) -> Bytes {
    let json = serde_json::to_string(response).unwrap_or_else(|error| {
        let failed = Response::from_errors(vec![codes::internal(&error)]);
        serde_json::to_string(&failed).unwrap_or_default()
    });
    format!("event: next\ndata: {json}\n\n").into()
}
