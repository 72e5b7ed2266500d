//! Clients: the senders of requests.

use std::sync::Arc;

use async_graphql::Executor;
use axum::http::request::Parts;
use serde_json::{Map, Value};

use super::{limit::OperationLimit, uploads::UploadSink};

/// The sender of a request over HTTP, or of the operations of one WebSocket.
#[derive(Clone)]
pub struct Client<E> {
    /// Executes its operations.
    pub executor: E,
    /// Stores its files.
    pub uploads: Arc<dyn UploadSink>,
    /// Limits how many operations it may start. None: no limit.
    pub limit: Option<Arc<dyn OperationLimit>>,
}

/// Identifies the client of each request and of each WebSocket.
pub trait Clients: Send + Sync + 'static {
    /// Executes the operations of one client.
    type Executor: Executor;

    /// Returns the client that sent a request over HTTP.
    fn of_request(&self, request: &Parts) -> Client<Self::Executor>;

    /// Returns the client that opened a WebSocket with `handshake` and sent `init`, the payload of its `connection_init`.
    fn of_connection(&self, handshake: &Parts, init: &Map<String, Value>) -> Client<Self::Executor>;
}

/// One client that sends all requests.
impl<E: Executor> Clients for Client<E> {
    type Executor = E;

    fn of_request(&self, _request: &Parts) -> Client<E> {
        self.clone()
    }

    fn of_connection(&self, _handshake: &Parts, _init: &Map<String, Value>) -> Client<E> {
        self.clone()
    }
}
