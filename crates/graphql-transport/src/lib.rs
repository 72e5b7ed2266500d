#![doc = include_str!("../README.md")]

mod admission;
mod cache;
mod client;
mod codes;
mod csrf;
mod document;
mod events;
mod execution;
mod limit;
mod manifest;
mod messages;
mod multipart;
mod negotiate;
mod observer;
mod parts;
mod persisted;
mod refusal;
mod request;
mod session;
mod settings;
mod source;
mod traced;
mod uploads;
mod ws;

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing,
};
use tower_http::catch_panic::CatchPanicLayer;

use self::{admission::Admission, codes::Code, negotiate::Media, refusal::Refusal};
pub use self::{
    client::{Client, Clients},
    document::{InvalidSchema, ScalarCheck},
    limit::{LimitExceeded, OperationLimit},
    manifest::{InvalidManifest, PersistedDocuments},
    observer::{Observer, OperationKind, Unobserved},
    settings::Settings,
    source::is_silent,
    traced::SPAN_TARGET,
    uploads::{UploadError, UploadSink},
};

/// State of the routes.
struct Transport<C> {
    clients: C,
    admission: Admission,
    settings: Settings,
}

/// Returns the routes of a GraphQL API, to be nested at its path. `sdl` is the schema of the clients' executors, in the schema
/// definition language. An executor may trust that documents are valid: async-graphql's `ValidationMode::Fast` is enough.
///
/// Files of multipart requests are streamed into the uploads of their client. Their variables are set to the IDs that it returns,
/// as strings.
/// After `settings.shutdown` is cancelled, WebSockets close with 1001 and multipart streams end with their terminating
/// boundary. `settings.sockets` tracks the open WebSockets.
///
/// # Errors
/// The schema is invalid.
pub fn routes<C: Clients>(clients: C, sdl: &str, settings: Settings) -> Result<Router, InvalidSchema> {
    let transport = Arc::new(Transport { clients, admission: Admission::new(sdl, &settings)?, settings });
    let methods = routing::get(execution::get::<C>).post(execution::post::<C>).fallback(method_not_allowed);
    Ok(Router::new().route("/", methods).with_state(transport).layer(CatchPanicLayer::custom(panic_answer)))
}

/// Answers methods other than GET, HEAD and POST.
async fn method_not_allowed() -> Response {
    let text = "GraphQL requests are sent with GET or POST.";
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadUserInput, text);
    allow("GET, POST", refusal.answer(Media::Json))
}

/// Adds the Allow header that belongs to a 405.
fn allow(methods: &'static str, mut response: Response) -> Response {
    let methods = HeaderValue::from_static(methods);
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// Responds to a panic of the transport itself with an INTERNAL error.
fn panic_answer(panic: Box<dyn Any + Send + 'static>) -> Response {
    Refusal::internal(&codes::panic_text(panic.as_ref())).answer(Media::Json)
}
