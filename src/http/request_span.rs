//! Spans of requests, in the trace that the client names by `traceparent`.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::spans;

/// Adds a span around each request, until its response begins.
pub fn add_spans(routes: Router) -> Router {
    routes.layer(from_fn(trace_request))
}

async fn trace_request(request: Request, next: Next) -> Response {
    let span = span(&request);
    if span.is_none() {
        return next.run(request).await;
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

/// Makes the span. It has the route's pattern, because a path may contain names and a query keys.
fn span(request: &Request) -> Span {
    let pattern = request.extensions().get::<MatchedPath>();
    let (method, route) = (request.method().as_str(), pattern.map_or("unmatched", MatchedPath::as_str));
    let span = info_span!(
        target: spans::TARGET,
        parent: None,
        "request",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
    );
    if let Some(parent) = request.headers().get("traceparent").and_then(|parent| parent.to_str().ok()) {
        spans::set_parent(&span, parent);
    }
    span
}
