//! Limits the rate of each caller's requests: those for files here, those of GraphQL in its transport.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use graphql_transport::{LimitExceeded, OperationLimit};

use super::client_address::client_address;
use super::error_response;
use crate::request_limits::RequestLimiter;
use crate::state::AppState;
use crate::task::Code;

/// The limit of the caller with one address.
struct AddressLimit {
    limiter: RequestLimiter,
    address: IpAddr,
}

#[async_trait]
impl OperationLimit for AddressLimit {
    async fn admit(&self) -> Result<(), LimitExceeded> {
        let admitted = self.limiter.admit(self.address).await;
        admitted.map_err(|retry_after| {
            let (rate, address) = (self.limiter.rate(), self.address);
            let mut exceeded = LimitExceeded { message: String::new(), retry_after };
            exceeded.message = format!(
                "Too many requests from {address}: {} per second are allowed, and {} at once. Try again in {} s.",
                rate.per_second,
                rate.burst,
                exceeded.seconds()
            );
            exceeded
        })
    }
}

/// Returns the limit of a request's caller. None if requests are not limited.
fn limit_of(app: &AppState, extensions: &Extensions, headers: &HeaderMap) -> Option<AddressLimit> {
    let limiter = app.request_limiter.clone()?;
    let address = client_address(extensions, headers, &app.config.http.trusted_proxies);
    Some(AddressLimit { limiter, address })
}

/// Returns the limit of the caller of a GraphQL request or WebSocket. The transport counts the request, and each operation of a
/// WebSocket.
pub fn operation_limit(app: &AppState, request: &Parts) -> Option<Arc<dyn OperationLimit>> {
    Some(Arc::new(limit_of(app, &request.extensions, &request.headers)?))
}

/// Counts a request for a file, and refuses it with 429 if its caller must wait.
pub async fn count_request(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let admitted = match limit_of(&app, request.extensions(), request.headers()) {
        Some(limit) => limit.admit().await,
        None => Ok(()),
    };
    match admitted {
        Ok(()) => next.run(request).await,
        Err(exceeded) => {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut response = error_response::error(status, Code::RateLimited, &exceeded.message);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(exceeded.seconds()));
            response
        }
    }
}
