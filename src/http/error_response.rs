//! Responses that report errors, in the form of GraphQL errors.

use std::io;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use graphql_transport::UploadError;
use serde_json::json;

use crate::files::FileFault;
use crate::store;
use crate::task::Code;

/// Wraps a failure of the blob store or the task store.
pub fn failed(error: impl std::error::Error + Send + Sync + 'static) -> UploadError {
    UploadError::Failed(Box::new(error))
}

/// Returns the response if the blob store or the task store failed.
pub fn storage_failed(error: impl std::error::Error + Send + Sync + 'static) -> Box<Response> {
    Box::new(refuse(&failed(error)))
}

/// Returns the response to an upload that was not stored.
pub fn refuse(problem: &UploadError) -> Response {
    match problem {
        UploadError::TooLarge { .. } => error(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, &problem.to_string()),
        UploadError::Silent => error(StatusCode::REQUEST_TIMEOUT, Code::Timeout, &problem.to_string()),
        UploadError::CutOff | UploadError::Name(_) => {
            error(StatusCode::BAD_REQUEST, Code::BadUserInput, &problem.to_string())
        }
        UploadError::Failed(cause) if matches!(cause.downcast_ref(), Some(store::Error::Unstorable(_))) => {
            error(StatusCode::BAD_REQUEST, Code::BadUserInput, &cause.to_string())
        }
        UploadError::Failed(cause) => {
            let taken = |cause: &io::Error| cause.kind() == io::ErrorKind::ResourceBusy;
            if cause.downcast_ref::<io::Error>().is_some_and(taken) {
                return error(
                    StatusCode::LOCKED,
                    Code::Conflict,
                    "Another request for this upload interrupted this one.",
                );
            }
            let of_store = cause.downcast_ref::<store::Error>();
            let fault = cause.downcast_ref::<io::Error>().map(FileFault::of);
            if fault == Some(FileFault::Unavailable) {
                tracing::warn!(error = %cause, "could not store an upload: file store unavailable");
            } else if !of_store.is_some_and(store::Error::is_unavailable) {
                tracing::error!(error = %cause, "could not store an upload");
            }
            let full = fault == Some(FileFault::Full);
            let unavailable = fault == Some(FileFault::Unavailable)
                || of_store.is_some_and(|error| error.is_unavailable() || matches!(error, store::Error::Full(_)));
            let text = if full {
                "The server's disk is full. Try again later."
            } else {
                "The file could not be stored. Try again."
            };
            let code = if full || unavailable { Code::Unavailable } else { Code::Internal };
            error(StatusCode::SERVICE_UNAVAILABLE, code, text)
        }
    }
}

/// Returns an error in the format of GraphQL, for routes other than GraphQL's.
pub fn error(status: StatusCode, code: Code, text: &str) -> Response {
    let body = json!({ "errors": [{ "message": text, "extensions": { "code": code.as_str() } }] });
    (status, Json(body)).into_response()
}
