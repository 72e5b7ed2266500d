//! The route /metrics.

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::Site;
use crate::metrics::Format;

/// Answers with all metrics as text, in the format that the client accepts.
pub async fn show(State(site): State<Site>, headers: HeaderMap) -> Response {
    site.metrics.tasks.running(site.runner.running());
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static(format.content_type())), (VARY, HeaderValue::from_static("Accept"))];
    (headers, site.metrics.encode(format)).into_response()
}
