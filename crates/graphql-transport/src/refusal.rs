//! Requests that are refused before they reach the schema.

use async_graphql::{Response, ServerError};
use axum::http::{HeaderValue, StatusCode, header};

use super::{
    codes::{self, Code},
    limit::LimitExceeded,
    negotiate::{self, Media, RequestOutcome},
};

/// The error of a refused request and its HTTP status.
#[derive(Debug)]
pub struct Refusal {
    outcome: RequestOutcome,
    error: Box<ServerError>,
    /// Value of Retry-After, in seconds.
    retry_after: Option<u64>,
}

impl Refusal {
    /// Creates a refusal.
    pub fn new(status: StatusCode, code: Code, text: impl Into<String>) -> Self {
        let error = Box::new(codes::error(code, text));
        Self { outcome: RequestOutcome::Refused(status), error, retry_after: None }
    }

    /// The request is well-formed, and its document is not run.
    pub fn request_error(code: Code, text: impl Into<String>) -> Self {
        let error = Box::new(codes::error(code, text));
        Self { outcome: RequestOutcome::RequestError, error, retry_after: None }
    }

    /// Returns the error.
    pub fn into_error(self) -> ServerError {
        *self.error
    }

    /// 429: the caller sends too many requests.
    pub fn too_many_requests(exceeded: &LimitExceeded) -> Self {
        let outcome = RequestOutcome::Refused(StatusCode::TOO_MANY_REQUESTS);
        Self { outcome, error: Box::new(exceeded.error()), retry_after: Some(exceeded.seconds()) }
    }

    /// 400: the request is malformed.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadUserInput, text)
    }

    /// 408: the request did not arrive in time.
    pub fn timeout(text: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::BadUserInput, text)
    }

    /// 413: the request is too large.
    pub fn too_large(text: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, text)
    }

    /// 415: the content type is not supported.
    pub fn media_type(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadUserInput, text)
    }

    /// 500: the server failed. Logs `cause`.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        let outcome = RequestOutcome::Refused(StatusCode::INTERNAL_SERVER_ERROR);
        Self { outcome, error: Box::new(codes::internal(cause)), retry_after: None }
    }

    /// Returns the HTTP response: `{"errors":[…]}`.
    pub fn answer(self, media: Media) -> axum::response::Response {
        let response = Response::from_errors(vec![*self.error]);
        let mut http = negotiate::answer(media, self.outcome, response);
        if let Some(seconds) = self.retry_after {
            http.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        http
    }
}
