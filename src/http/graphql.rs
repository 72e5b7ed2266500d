//! The clients of the GraphQL API.

use std::sync::Arc;

use axum::http::request::Parts;
use graphql_transport::{Client, Clients};
use serde_json::{Map, Value};

use super::caller::identify;
use super::limits;
use super::uploads::GraphqlUploads;
use crate::access::Caller;
use crate::api::{Api, CallerApi};
use crate::state::AppState;

/// Identifies the clients of the API.
pub struct ApiClients {
    app: AppState,
    api: Api,
}

impl ApiClients {
    /// Identifies the clients of `api`, which works on `app`.
    pub fn new(app: AppState, api: Api) -> ApiClients {
        ApiClients { app, api }
    }

    fn client(&self, caller: Caller, request: &Parts) -> Client<CallerApi> {
        let uploads = Arc::new(GraphqlUploads { app: self.app.clone(), caller: caller.clone() });
        Client { executor: self.api.for_caller(caller), uploads, limit: limits::operation_limit(&self.app, request) }
    }
}

impl Clients for ApiClients {
    type Executor = CallerApi;

    fn of_request(&self, request: &Parts) -> Client<CallerApi> {
        self.client(identify(request), request)
    }

    fn of_connection(&self, handshake: &Parts, _init: &Map<String, Value>) -> Client<CallerApi> {
        self.client(identify(handshake), handshake)
    }
}
