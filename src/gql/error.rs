//! Errors as clients see them: the message for people, `extensions.code` for programs.

use async_graphql::{Error, ErrorExtensions, Value};
use std::io;

use crate::datasets;
use crate::files::FileFault;
use crate::runner::{BadInput, TaskStartError};
use crate::store;
use crate::task::{Code, Refusal, State, TaskId, id::MalformedId};

/// Value of `retryAfterSeconds` for a start that was refused with TOO_BUSY.
const RETRY_AFTER_SECONDS: i32 = 1;

/// Result of a resolver.
pub type Result<T> = std::result::Result<T, Error>;

/// Makes an error with a code.
pub fn coded(code: Code, message: impl Into<String>) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code.as_str()))
}

/// Makes a BAD_USER_INPUT error that names the invalid field.
pub fn bad_input(field: &str, message: impl Into<String>) -> Error {
    coded(Code::BadUserInput, message).extend_with(|_, extensions| extensions.set("field", field))
}

/// Adds the name of the invalid field.
pub fn with_field(field: &str, error: Error) -> Error {
    error.extend_with(|_, extensions| extensions.set("field", field))
}

/// Puts the error's field below `inputs.N`, for the input at `index` of a list.
pub fn at_input(index: usize, mut error: Error) -> Error {
    let extensions = error.extensions.get_or_insert_default();
    let field = match extensions.get("field") {
        Some(Value::String(field)) => format!("inputs.{index}.{field}"),
        _ => format!("inputs.{index}"),
    };
    extensions.set("field", field);
    error
}

/// Makes the NOT_FOUND error of an unknown task.
pub fn task_not_found(id: impl std::fmt::Display) -> Error {
    coded(Code::NotFound, format!("Task {id} not found."))
}

/// Makes an INTERNAL error. Its text is logged with an ID; clients see only the ID.
pub fn internal(text: impl std::fmt::Display) -> Error {
    let id = uuid::Uuid::new_v4().simple().to_string();
    tracing::error!(error_id = id, error = text.to_string(), "internal error");
    coded(Code::Internal, format!("Internal server error. See the server log, error_id={id}."))
}

/// Makes the CONFLICT error of a request that another task prevents. `text` names the task.
pub fn conflict(task: TaskId, text: String) -> Error {
    coded(Code::Conflict, text).extend_with(|_, extensions| extensions.set("taskId", task.to_string()))
}

/// Parses a task ID.
///
/// # Errors
/// BAD_USER_INPUT if it is not a UUID.
pub fn parse_task_id(text: &str) -> Result<TaskId> {
    text.parse().map_err(|error: MalformedId| bad_input("id", error.to_string()))
}

/// Translates an error of the task store.
pub fn from_store(error: store::Error) -> Error {
    match error {
        store::Error::Refused(refusal) => refused(&refusal),
        store::Error::TooBusy { .. } => coded(Code::TooBusy, error.to_string())
            .extend_with(|_, extensions| extensions.set("retryAfterSeconds", RETRY_AFTER_SECONDS)),
        store::Error::Unavailable(text) => {
            tracing::warn!(error = text, "request refused: store unavailable");
            store_unavailable()
        }
        store::Error::Outage(_) => store_unavailable(),
        store::Error::Full(text) => {
            tracing::error!(error = text, "request refused: no disk space for the task store");
            coded(Code::Unavailable, "The task store has no disk space left. Nothing was changed.")
        }
        store::Error::KeyReused { task, .. } => {
            conflict(task, error.to_string()).extend_with(|_, extensions| extensions.set("field", "idempotencyKey"))
        }
        store::Error::NoUpload(_) => bad_input("source", error.to_string()),
        store::Error::Unstorable(_) => coded(Code::BadUserInput, error.to_string()),
        store::Error::Failed(text) | store::Error::Unusable(text) => internal(text),
    }
}

/// Translates an error of the blob store.
pub fn from_blobs(error: io::Error) -> Error {
    if FileFault::of(&error) != FileFault::Unavailable {
        return internal(error);
    }
    tracing::warn!(%error, "request refused: file store unavailable");
    coded(Code::Unavailable, "The file store is unavailable. Try again.")
}

fn store_unavailable() -> Error {
    coded(Code::Unavailable, "The task store is unavailable. Try again.")
}

/// Makes the INVALID_STATE error of a request that the task's state does not allow.
pub fn invalid_state(text: impl Into<String>, state: State) -> Error {
    coded(Code::InvalidState, text).extend_with(|_, extensions| extensions.set("state", state.to_string()))
}

fn refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Illegal(illegal) => invalid_state(refusal.to_string(), illegal.state),
        Refusal::Conflict(holder) => {
            conflict(*holder, format!("Unfinished task {holder} uses the same data. Wait for it, or terminate it."))
        }
        Refusal::Inapplicable { field, state, .. } => with_field(field, invalid_state(refusal.to_string(), *state)),
        Refusal::NotFound(id) => task_not_found(id),
        Refusal::LeaseLost | Refusal::NoAttemptLeft => internal(refusal),
    }
}

/// Translates input that a kind or the runner refuses.
pub fn from_input(BadInput { field, message }: BadInput) -> Error {
    bad_input(&field, message)
}

/// Translates the refusal of a start.
pub fn from_start(error: TaskStartError) -> Error {
    match error {
        TaskStartError::Input(input) => from_input(input),
        TaskStartError::Store(error) => from_store(error),
    }
}

/// Translates an error of the database of datasets.
pub fn from_datasets(error: datasets::Error) -> Error {
    let text = error.to_string();
    match error {
        datasets::Error::Exists(_) => coded(Code::AlreadyExists, text),
        datasets::Error::Missing(_) => coded(Code::NotFound, text),
        datasets::Error::Columns { .. } | datasets::Error::TooManyColumns { .. } | datasets::Error::Cell { .. } => {
            coded(Code::BadUserInput, text)
        }
        datasets::Error::Invalid(invalid) => bad_input(invalid.field, invalid.message),
        datasets::Error::TooSlow => coded(Code::TooLarge, text),
        datasets::Error::Unavailable(_) | datasets::Error::Outage(_) | datasets::Error::Full(_) => {
            coded(Code::Unavailable, text)
        }
        datasets::Error::LeaseLost | datasets::Error::Cancelled | datasets::Error::Failed(_) => internal(text),
    }
}
