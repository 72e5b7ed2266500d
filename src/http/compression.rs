//! Compression of responses that are complete in memory: results of GraphQL, pages, errors and metrics. Events of subscriptions and
//! files pass as they are: they are streams, which have no size here.

use std::io::Write;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use flate2::write::GzEncoder;

use super::accept_encoding::Coding;
use crate::spawn::spawn_blocking;

/// Beginnings of the media types that are compressed.
const TYPES: [&str; 4] =
    ["application/json", "application/graphql-response+json", "application/openmetrics-text", "text/"];

/// Maximum size of a response that is compressed on the thread of its connection, in bytes: it takes less than a millisecond.
const INLINE_BYTES: usize = 16 << 10;

/// Level of Zstandard. Its window has 2 MiB; browsers take 8 MiB.
const ZSTD_LEVEL: i32 = 3;

/// Compresses the response if it has at least `min_bytes`, and the client accepts it. None: no response is compressed.
pub async fn compress(request: Request, next: Next, min_bytes: Option<u64>) -> Response {
    let coding = Coding::preferred(request.headers());
    let mut response = next.run(request).await;
    if !is_compressible(&response, min_bytes) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from(ACCEPT_ENCODING));
    match coding {
        Some(coding) => compressed(response, coding).await,
        None => response,
    }
}

fn is_compressible(response: &Response, min_bytes: Option<u64>) -> bool {
    let size = response.body().size_hint().exact();
    let headers = response.headers();
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    !headers.contains_key(CONTENT_ENCODING)
        && TYPES.iter().any(|known| kind.starts_with(known))
        && size.zip(min_bytes).is_some_and(|(size, min)| size >= min)
}

async fn compressed(response: Response, coding: Coding) -> Response {
    let (mut parts, body) = response.into_parts();
    // The body has a size and is not a stream, so nothing is waited for.
    let Ok(plain) = to_bytes(body, usize::MAX).await else { return Response::from_parts(parts, Body::empty()) };
    let smaller = match plain.len() {
        ..=INLINE_BYTES => encoded(&plain, coding).ok(),
        _ => {
            let plain = plain.clone();
            spawn_blocking(move || encoded(&plain, coding)).await.ok().and_then(Result::ok)
        }
    };
    let Some(smaller) = smaller.filter(|smaller| smaller.len() < plain.len()) else {
        return Response::from_parts(parts, Body::from(plain));
    };
    describe(&mut parts.headers, coding, smaller.len());
    Response::from_parts(parts, Body::from(smaller))
}

fn describe(headers: &mut HeaderMap, coding: Coding, length: usize) {
    headers.insert(CONTENT_ENCODING, coding.name());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    // A strong ETag names the bytes that are sent.
    let strong = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::from_str(&format!("W/{tag}")).ok()) {
        headers.insert(ETAG, weak);
    }
}

fn encoded(plain: &Bytes, coding: Coding) -> std::io::Result<Vec<u8>> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), flate2::Compression::default());
            encoder.write_all(plain)?;
            encoder.finish()
        }
        Coding::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL),
    }
}
