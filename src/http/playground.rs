//! The playground: GraphiQL. It loads nothing from the internet.

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::asset::Asset;

const INDEX: Asset = Asset {
    name: "index.html",
    media_type: "text/html; charset=utf-8",
    content: include_bytes!("../../assets/graphiql/index.html"),
    gzipped: false,
};

const FILES: [Asset; 8] = [
    plain("boot.js", SCRIPT, include_bytes!("../../assets/graphiql/boot.js")),
    plain("page.css", STYLE, include_bytes!("../../assets/graphiql/page.css")),
    plain("tour.graphql", TEXT, include_bytes!("../../assets/graphiql/tour.graphql")),
    plain("LICENSES.txt", TEXT, include_bytes!("../../assets/graphiql/LICENSES.txt")),
    compressed("graphiql.min.js", SCRIPT, include_bytes!("../../assets/graphiql/graphiql.min.js.gz")),
    compressed("graphiql.min.css", STYLE, include_bytes!("../../assets/graphiql/graphiql.min.css.gz")),
    compressed("react.production.min.js", SCRIPT, include_bytes!("../../assets/graphiql/react.production.min.js.gz")),
    compressed(
        "react-dom.production.min.js",
        SCRIPT,
        include_bytes!("../../assets/graphiql/react-dom.production.min.js.gz"),
    ),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

const fn plain(name: &'static str, media_type: &'static str, content: &'static [u8]) -> Asset {
    Asset { name, media_type, content, gzipped: false }
}

const fn compressed(name: &'static str, media_type: &'static str, content: &'static [u8]) -> Asset {
    Asset { name, media_type, content, gzipped: true }
}

/// The routes /graphiql and /graphiql/FILE.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/graphiql", get(page)).route("/graphiql/{file}", get(file))
}

/// Returns the playground if a browser opens the API's address: a GET without a query that prefers text/html.
pub async fn for_browsers(request: Request, next: Next) -> Response {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_browser =
        request.method() == Method::GET && request.uri().query().is_none() && accept.starts_with("text/html");
    if is_browser { INDEX.answer(request.headers()) } else { next.run(request).await }
}

async fn page(request: HeaderMap) -> Response {
    INDEX.answer(&request)
}

async fn file(Path(name): Path<String>, request: HeaderMap) -> Response {
    match FILES.iter().find(|asset| asset.name == name) {
        Some(asset) => asset.answer(&request),
        None => (StatusCode::NOT_FOUND, "The playground has no such file.\n").into_response(),
    }
}
