//! The start page: what Pausa is, its addresses, and a first request.

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::asset::Asset;

const PAGE: Asset = Asset {
    name: "start.html",
    media_type: "text/html; charset=utf-8",
    content: include_bytes!("../../assets/start.html"),
    gzipped: false,
};

/// The route `/`.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(page))
}

async fn page(request: HeaderMap) -> Response {
    PAGE.answer(&request)
}
