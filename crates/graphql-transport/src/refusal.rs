//! A request that is refused before it reaches the schema.

use async_graphql::{Response, ServerError};
use axum::http::StatusCode;

use super::{
    codes::{self, Code},
    negotiate::{self, Media, Outcome},
};

/// Why a request goes no further, and the status that says so.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    error: Box<ServerError>,
}

impl Refusal {
    /// A refusal with its status, code and text.
    pub fn new(status: StatusCode, code: Code, text: impl Into<String>) -> Self {
        let error = Box::new(codes::error(code, text));
        Self { status, error }
    }

    /// 400: the request is not well formed.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadUserInput, text)
    }

    /// 408: no byte came for too long.
    pub fn timeout(text: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, Code::BadUserInput, text)
    }

    /// 413: longer than allowed.
    pub fn too_large(text: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, text)
    }

    /// 415: the content type is none that is read here.
    pub fn media_type(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadUserInput, text)
    }

    /// 500: the server failed; `cause` goes to the log.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, error: Box::new(codes::internal(cause)) }
    }

    /// The refusal as an HTTP answer: `{"errors":[…]}`.
    pub fn answer(self, media: Media) -> axum::response::Response {
        let response = Response::from_errors(vec![*self.error]);
        negotiate::answer(media, Outcome::Refused(self.status), response)
    }
}
