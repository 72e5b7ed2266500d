//! Metrics of requests, uploads and downloads.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use futures_util::TryStreamExt;
use graphql_transport::{Observer, OperationKind};

use crate::clock::Clock;
use crate::metrics::{Graphql, Metrics, Transfer};

/// Counts each request by its route's pattern.
pub fn add_metrics(routes: Router, metrics: Metrics) -> Router {
    routes.layer(from_fn(move |request, next| {
        let metrics = metrics.clone();
        async move { measure_request(&metrics, request, next).await }
    }))
}

async fn measure_request(metrics: &Metrics, request: Request, next: Next) -> Response {
    let begin = Clock::monotonic();
    let pattern = request.extensions().get::<MatchedPath>().cloned();
    let route = pattern.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = request.method().clone();
    let request = if is_upload(&method, route, request.headers()) {
        request.map(|body| count_bytes(body, metrics.uploads.begin()))
    } else {
        request
    };
    let response = next.run(request).await;
    metrics.http.answered(method.as_str(), route, response.status().as_u16(), begin.elapsed());
    if is_download(&method, route) && response.status().is_success() {
        return response.map(|body| count_bytes(body, metrics.downloads.begin()));
    }
    response
}

fn is_upload(method: &Method, route: &str, headers: &HeaderMap) -> bool {
    match route {
        "/uploads" | "/uploads/{id}" => method == Method::POST || method == Method::PATCH,
        "/graphql" => headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/")),
        _ => false,
    }
}

fn is_download(method: &Method, route: &str) -> bool {
    method == Method::GET && (route.starts_with("/download/") || route.starts_with("/datasets/"))
}

/// Counts the bytes of a body as they pass. The transfer ends with the body.
fn count_bytes(body: Body, transfer: Transfer) -> Body {
    Body::from_stream(body.into_data_stream().inspect_ok(move |bytes| transfer.add(bytes.len())))
}

impl Observer for Graphql {
    fn operation(&self, kind: OperationKind, codes: &[&str]) {
        self.count(kind.as_str(), codes);
    }

    fn errors(&self, codes: &[&str]) {
        self.count_errors(codes);
    }

    fn duration(&self, kind: OperationKind, time: Duration) {
        self.took(kind.as_str(), time);
    }
}
