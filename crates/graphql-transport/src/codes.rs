//! Error codes in `extensions.code`, and the text of errors that clients see.

use std::{any::Any, fmt::Display};

use async_graphql::{ErrorExtensionValues, Response, ServerError, Value};
use uuid::Uuid;

/// Codes of the errors of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The format, query or variables of the request are invalid.
    BadUserInput,
    /// The request or a file exceeds its size limit.
    TooLarge,
    /// The client runs too many operations.
    TooBusy,
    /// The client sends too many operations in a period.
    RateLimited,
    /// The origin of the request is not allowed.
    Forbidden,
    /// The document that the request names is not known. Clients then send it.
    PersistedQueryNotFound,
    /// The server registers no documents of clients.
    PersistedQueryNotSupported,
    /// The server failed.
    Internal,
}

impl Code {
    /// Returns the code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::TooLarge => "TOO_LARGE",
            Self::TooBusy => "TOO_BUSY",
            Self::RateLimited => "RATE_LIMITED",
            Self::Forbidden => "FORBIDDEN",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::Internal => "INTERNAL",
        }
    }
}

/// Creates an error with a code.
pub fn error(code: Code, message: impl Into<String>) -> ServerError {
    with_code(ServerError::new(message, None), code)
}

/// Creates an INTERNAL error. Logs `cause` with an ID, which the message of the error contains.
pub fn internal(cause: &dyn Display) -> ServerError {
    let id = Uuid::new_v4();
    tracing::error!(error_id = %id, error = cause.to_string(), "GraphQL request failed");
    let text = format!("Internal server error. See the server log, error_id={id}.");
    error(Code::Internal, text)
}

/// Adds a code to each error that has none: BAD_USER_INPUT if the request is invalid, else INTERNAL. The text of an INTERNAL
/// error is logged, and the client gets its ID.
pub fn coded(mut response: Response) -> Response {
    response.errors = response.errors.into_iter().map(coded_error).collect();
    response
}

/// Returns true if the request was refused before any resolver ran.
pub fn is_request_error(response: &Response) -> bool {
    let early = |error: &ServerError| {
        let internal = Value::from(Code::Internal.as_str());
        error.path.is_empty() && code_of(error) != Some(&internal)
    };
    response.data == Value::Null && response.is_err() && response.errors.iter().all(early)
}

/// Returns the message of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.as_deref().unwrap_or("no message"))
}

/// Returns the codes of the errors, in order. An error without a code gives an empty text.
pub fn all(errors: &[ServerError]) -> Vec<&str> {
    let code = |error| match code_of(error) {
        Some(Value::String(code)) => code.as_str(),
        _ => "",
    };
    errors.iter().map(code).collect()
}

fn code_of(error: &ServerError) -> Option<&Value> {
    error.extensions.as_ref()?.get("code")
}

/// Adds a code to an error that has none.
pub fn coded_error(error: ServerError) -> ServerError {
    if code_of(&error).is_some() {
        return error;
    }
    if error.path.is_empty() || is_coercion(&error) {
        return with_code(error, Code::BadUserInput);
    }
    ServerError { locations: error.locations.clone(), path: error.path.clone(), ..internal(&error) }
}

/// Returns true for an invalid argument that async-graphql finds during execution. Only the text distinguishes it from an error
/// of a resolver.
fn is_coercion(error: &ServerError) -> bool {
    let text = error.message.as_str();
    let known = ["Failed to parse \"", "Expected input type \"", "Invalid value for "];
    let undefined = text.starts_with("Variable ") && text.ends_with(" is not defined.");
    error.source.is_none() && (undefined || known.iter().any(|start| text.starts_with(start)))
}

fn with_code(mut error: ServerError, code: Code) -> ServerError {
    let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
    extensions.set("code", code.as_str());
    error
}
