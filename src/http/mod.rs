//! The server's routes.

mod activity;
mod asset;
mod dataset;
mod download;
mod file_response;
mod health;
mod linger;
mod metrics;
mod observe;
pub mod playground;
mod range;
mod serve;
pub mod start;
mod traced;
mod tus;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, map_request};
use axum::response::Response;
use axum::routing::{any, get, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::api::Api;
use crate::clock::Clock;
use crate::config::{HttpLimits, SocketLimits};
use crate::datasets::Datasets;
use crate::files::Files;
use crate::metrics::Metrics;
use crate::runner::Runner;
use crate::store::Store;
pub use metrics::Counted;
pub use serve::serve;
pub use tus::UploadLocks;

/// What the routes work with.
#[derive(Clone)]
pub struct Site {
    /// Where tasks and uploads are kept.
    pub store: Store,
    /// Where their files are.
    pub files: Files,
    /// The tables.
    pub datasets: Arc<dyn Datasets>,
    /// What runs tasks.
    pub runner: Runner,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// When the store was asked for what waits.
    pub counted: Counted,
    /// The limit of one upload, in bytes.
    pub max_upload_bytes: u64,
    /// How long an upload stays that no task uses; none: for ever.
    pub upload_life: Option<Duration>,
    /// Who writes to which upload.
    pub upload_locks: UploadLocks,
    /// Web pages of these origins may call the API; `*` stands for all.
    pub allowed_origins: Vec<String>,
    /// The datasets that may be streamed beside those that are.
    pub streams: Arc<Semaphore>,
    /// The limits of HTTP.
    pub limits: HttpLimits,
    /// The limits of a WebSocket.
    pub socket_limits: SocketLimits,
    /// Cancelled when the server ends.
    pub ending: CancellationToken,
    /// The open WebSockets, and datasets on their way to clients.
    pub sockets: TaskTracker,
}

/// Every route of a node that serves the API.
pub fn routes(site: Site, api: Api) -> Router {
    let settings = transport_settings(&site);
    let sink = Arc::new(uploads::GraphqlUploads(site.clone()));
    let cors = cors(&site.allowed_origins);
    let files = Router::new()
        .route("/uploads", post(uploads::receive))
        .route("/uploads/{id}", any(tus::upload))
        .route("/datasets/{file}", get(dataset::stream))
        .route("/download/{id}", get(download::result))
        .route("/download/{id}/rejects", get(download::rejects))
        .with_state(site.clone());
    let (limit, silence, metrics) = (site.max_upload_bytes, site.limits.body_silence, site.metrics.clone());
    let router = Router::new()
        .nest("/graphql", graphql_transport::routes(api, sink, settings).layer(from_fn(playground::for_browsers)))
        .merge(files)
        .layer(cors)
        .layer(from_fn(move |request, next| discovered(request, next, limit)))
        .merge(start::router())
        .merge(playground::router())
        .merge(probes(site))
        .layer(CatchPanicLayer::new())
        .layer(map_request(move |request| std::future::ready(linger::linger(request, silence))));
    traced::traced(observe::observed(router, metrics))
}

fn transport_settings(site: &Site) -> graphql_transport::Settings {
    let (http, socket) = (&site.limits, &site.socket_limits);
    graphql_transport::Settings {
        allowed_origins: site.allowed_origins.clone(),
        max_json_bytes: http.max_json_bytes,
        read_timeout: http.body_silence,
        max_message_bytes: socket.max_message_bytes,
        max_operations: socket.max_operations,
        init_timeout: socket.init,
        ping_interval: socket.ping,
        send_timeout: socket.send,
        shutdown: site.ending.clone(),
        sockets: site.sockets.clone(),
        observer: Arc::new(site.metrics.graphql.clone()),
        ..graphql_transport::Settings::default()
    }
}

/// The routes of a node that only works.
pub fn operation(site: Site) -> Router {
    let metrics = site.metrics.clone();
    traced::traced(observe::observed(probes(site), metrics))
}

fn probes(site: Site) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .with_state(site)
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let exposed = [header::CONTENT_DISPOSITION, header::ETAG, header::CONTENT_RANGE, header::ACCEPT_RANGES];
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(Any)
        .expose_headers(exposed.into_iter().chain(tus::EXPOSED).collect::<Vec<_>>())
}

/// OPTIONS /uploads asks what is spoken there; browsers ask the same way whether they may, so both get one answer.
async fn discovered(request: Request, next: Next, limit: u64) -> Response {
    let asked = request.method() == Method::OPTIONS && request.uri().path().starts_with("/uploads");
    let answer = next.run(request).await;
    if asked { tus::announce(answer, limit) } else { answer }
}
