//! HTTP: the server's routes.

mod accept_encoding;
mod activity;
mod asset;
mod caller;
mod client_address;
mod compression;
mod dataset;
mod download;
mod drain_body;
mod error_response;
mod file_response;
mod graphql;
mod health;
mod limits;
mod metrics;
pub mod playground;
mod range;
mod redirect;
mod request_metrics;
mod request_span;
mod serve;
pub mod start_page;
mod tracked_stream;
mod tus;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_request};
use axum::response::Response;
use axum::routing::{any, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::api::{self, Api};
use crate::state::AppState;
use drain_body::BodyLimits;
pub use graphql_transport::InvalidSchema;
pub use serve::{ServeSignals, serve};

/// The routes of a node that serves the API.
///
/// # Errors
/// The schema of the API is invalid.
pub fn routes(app: AppState, api: Api) -> Result<Router, InvalidSchema> {
    let settings = transport_settings(&app);
    let clients = graphql::ApiClients::new(app.clone(), api);
    let cors = cors(&app.config.allowed_origins);
    let files = Router::new()
        .route("/uploads", post(uploads::receive))
        .route("/uploads/{id}", any(tus::upload))
        .route("/datasets/{file}", get(dataset::stream))
        .route("/download/{id}", get(download::result))
        .route("/download/{id}/rejects", get(download::rejects))
        .route_layer(from_fn_with_state(app.clone(), limits::count_request))
        .with_state(app.clone());
    let (limit, metrics) = (app.config.max_upload_bytes, app.metrics.clone());
    let (bodies, compression) = (BodyLimits::of(&app.config.http), app.config.http.compression);
    let router = Router::new()
        .nest(
            "/graphql",
            graphql_transport::routes(clients, &api::sdl(), settings)?.layer(from_fn(playground::for_browsers)),
        )
        .merge(files)
        .layer(cors)
        .layer(from_fn(move |request, next| add_tus_capabilities(request, next, limit)))
        .merge(start_page::router())
        .merge(playground::router())
        .merge(probes(app))
        .layer(from_fn(move |request, next| compression::compress(request, next, compression)))
        .layer(CatchPanicLayer::new())
        .layer(map_request(move |request| std::future::ready(drain_body::drain_body(request, bodies))));
    Ok(request_span::add_spans(request_metrics::add_metrics(router, metrics)))
}

fn transport_settings(app: &AppState) -> graphql_transport::Settings {
    let (http, graphql, socket) = (&app.config.http, &app.config.graphql, &app.config.websocket);
    graphql_transport::Settings {
        allowed_origins: app.config.allowed_origins.clone(),
        max_json_bytes: http.max_json_bytes,
        read_timeout: http.body_silence,
        // `drain_body` drains all bodies.
        drain_timeout: Duration::ZERO,
        max_selections: graphql.max_selections,
        max_aliases: graphql.max_aliases,
        max_directives: graphql.max_directives,
        max_list_items: graphql.max_list_items,
        max_nesting: graphql.max_nesting,
        max_fragment_depth: graphql.max_fragment_depth,
        max_errors: graphql.max_errors,
        max_files: graphql.max_files,
        max_part_header_bytes: graphql.max_part_header_bytes,
        heartbeat: graphql.heartbeat,
        document_cache_bytes: graphql.document_cache_bytes,
        persisted: graphql.persisted_documents.clone(),
        persisted_only: graphql.persisted_documents_only,
        persisted_query_bytes: graphql.persisted_query_cache_bytes,
        scalars: api::scalars(),
        max_message_bytes: socket.max_message_bytes,
        max_operations: socket.max_operations,
        init_timeout: socket.init,
        ping_interval: socket.ping,
        send_timeout: socket.send,
        shutdown: app.ending.clone(),
        sockets: app.connections.clone(),
        observer: Arc::new(app.metrics.graphql.clone()),
    }
}

/// The routes of a node that only runs tasks: health and metrics.
pub fn worker_routes(app: AppState) -> Router {
    let metrics = app.metrics.clone();
    request_span::add_spans(request_metrics::add_metrics(probes(app), metrics))
}

fn probes(app: AppState) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .with_state(app)
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let exposed =
        [header::CONTENT_DISPOSITION, header::ETAG, header::CONTENT_RANGE, header::ACCEPT_RANGES, header::RETRY_AFTER];
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(Any)
        .expose_headers(exposed.into_iter().chain(tus::EXPOSED).collect::<Vec<_>>())
}

/// Adds the capabilities of tus to responses of OPTIONS /uploads. CORS preflights of browsers get the same response.
async fn add_tus_capabilities(request: Request, next: Next, limit: u64) -> Response {
    let is_discovery = request.method() == Method::OPTIONS && request.uri().path().starts_with("/uploads");
    let response = next.run(request).await;
    if is_discovery { tus::with_capabilities(response, limit) } else { response }
}
