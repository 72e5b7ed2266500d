//! The caller of an HTTP request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::access::Caller;

/// Returns the caller that sent a request.
pub fn identify(_request: &Parts) -> Caller {
    Caller::anonymous()
}

/// The caller of a request, for handlers.
pub struct RequestCaller(pub Caller);

impl<S: Sync> FromRequestParts<S> for RequestCaller {
    type Rejection = Infallible;

    async fn from_request_parts(request: &mut Parts, _state: &S) -> Result<RequestCaller, Infallible> {
        Ok(RequestCaller(identify(request)))
    }
}
