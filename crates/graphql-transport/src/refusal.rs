//! Requests that are refused before they reach the schema.

use async_graphql::{Response, ServerError};
use axum::http::StatusCode;

use super::{
    codes::{self, Code},
    negotiate::{self, Media, RequestOutcome},
};

/// The error of a refused request and its HTTP status.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    error: Box<ServerError>,
}

impl Refusal {
    /// Creates a refusal.
    pub fn new(status: StatusCode, code: Code, text: impl Into<String>) -> Self {
        let error = Box::new(codes::error(code, text));
        Self { status, error }
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
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, error: Box::new(codes::internal(cause)) }
    }

    /// Returns the HTTP response: `{"errors":[…]}`.
    pub fn answer(self, media: Media) -> axum::response::Response {
        let response = Response::from_errors(vec![*self.error]);
        negotiate::answer(media, RequestOutcome::Refused(self.status), response)
    }
}
