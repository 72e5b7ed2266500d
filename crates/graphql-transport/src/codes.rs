//! The code that every error carries in `extensions.code`, and what of an error its reader may see.

use std::{any::Any, fmt::Display};

use async_graphql::{ErrorExtensionValues, Response, ServerError, Value};
use uuid::Uuid;

/// The codes that the transport gives by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request is wrong: its form, its query or its variables.
    BadUserInput,
    /// The request or one of its files is longer than allowed.
    TooLarge,
    /// The client has too much running at once.
    TooBusy,
    /// The request comes from a place that may not send it.
    Forbidden,
    /// Something failed in the server.
    Internal,
}

impl Code {
    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::TooLarge => "TOO_LARGE",
            Self::TooBusy => "TOO_BUSY",
            Self::Forbidden => "FORBIDDEN",
            Self::Internal => "INTERNAL",
        }
    }
}

/// An error with its code.
pub fn error(code: Code, message: impl Into<String>) -> ServerError {
    with_code(ServerError::new(message, None), code)
}

/// An INTERNAL error: `cause` goes to the log, its reader gets the id to look for there.
pub fn internal(cause: &dyn Display) -> ServerError {
    let id = Uuid::new_v4();
    tracing::error!(error_id = %id, error = cause.to_string(), "GraphQL request failed");
    let text = format!("Something failed in the server. Its log has the cause under {id}.");
    error(Code::Internal, text)
}

/// Gives a code to each error that has none: BAD_USER_INPUT where the request is wrong, else
/// INTERNAL, whose text is logged and not shown.
pub fn coded(mut response: Response) -> Response {
    response.errors = response.errors.into_iter().map(coded_error).collect();
    response
}

/// Is this the answer to a request that was refused before anything of it ran?
pub fn is_request_error(response: &Response) -> bool {
    let early = |error: &ServerError| {
        let internal = Value::from(Code::Internal.as_str());
        error.path.is_empty() && code_of(error) != Some(&internal)
    };
    response.data == Value::Null && response.is_err() && response.errors.iter().all(early)
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.as_deref().unwrap_or("without a text"))
}

/// The codes of the errors, in their order.
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

/// The error with a code, where it had none.
pub fn coded_error(error: ServerError) -> ServerError {
    if code_of(&error).is_some() {
        return error;
    }
    if error.path.is_empty() || is_coercion(&error) {
        return with_code(error, Code::BadUserInput);
    }
    ServerError { locations: error.locations.clone(), path: error.path.clone(), ..internal(&error) }
}

/// async-graphql finds some wrong arguments while it executes; only their texts tell them from
/// the errors of resolvers.
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
