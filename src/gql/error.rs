//! Errors as clients see them: a message for people, `extensions.code` for programs.

use async_graphql::{Error, ErrorExtensions, Value};

use crate::datasets;
use crate::runner::{BadInput, StartError};
use crate::store;
use crate::task::{Code, Refusal, State, TaskId, id::MalformedId};

/// Seconds after which a start that was refused as too busy is worth another try.
const RETRY_AFTER: i32 = 1;

/// An answer that is an error.
pub type Result<T> = std::result::Result<T, Error>;

/// An error with a code.
pub fn coded(code: Code, message: impl Into<String>) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code.as_str()))
}

/// Input that cannot be done, with the field that is wrong.
pub fn bad_input(field: &str, message: impl Into<String>) -> Error {
    coded(Code::BadUserInput, message).extend_with(|_, extensions| extensions.set("field", field))
}

/// The same error with the field that is wrong.
pub fn of_field(field: &str, error: Error) -> Error {
    error.extend_with(|_, extensions| extensions.set("field", field))
}

/// The same error for the input at `place` of a list: its field is below `inputs.N`.
pub fn of_input(place: usize, mut error: Error) -> Error {
    let extensions = error.extensions.get_or_insert_default();
    let field = match extensions.get("field") {
        Some(Value::String(field)) => format!("inputs.{place}.{field}"),
        _ => format!("inputs.{place}"),
    };
    extensions.set("field", field);
    error
}

/// No task of that id.
pub fn no_task(id: impl std::fmt::Display) -> Error {
    coded(Code::NotFound, format!("there is no task {id}"))
}

/// A failure that is not the client's: its text is logged under an id, and the id is shown.
pub fn internal(text: impl std::fmt::Display) -> Error {
    let id = uuid::Uuid::new_v4().simple().to_string();
    tracing::error!(error_id = id, error = text.to_string(), "internal error");
    coded(Code::Internal, format!("something went wrong in the server; its log has the cause under error_id={id}"))
}

/// Another unfinished task stands in the way.
pub fn conflict(holder: TaskId) -> Error {
    conflict_with(holder, format!("task {holder} is filling that dataset: wait for it, or terminate it"))
}

fn conflict_with(task: TaskId, text: String) -> Error {
    coded(Code::Conflict, text).extend_with(|_, extensions| extensions.set("taskId", task.to_string()))
}

/// The id that a client gave.
pub fn task_id(text: &str) -> Result<TaskId> {
    text.parse().map_err(|error: MalformedId| bad_input("id", error.to_string()))
}

/// What the store says.
pub fn from_store(error: store::Error) -> Error {
    match error {
        store::Error::Refused(refusal) => refused(&refusal),
        store::Error::TooBusy { .. } => coded(Code::TooBusy, error.to_string())
            .extend_with(|_, extensions| extensions.set("retryAfterSeconds", RETRY_AFTER)),
        store::Error::Unavailable(text) => {
            tracing::warn!(error = text, "request refused: store unavailable");
            coded(Code::Unavailable, "the task store is away: try again")
        }
        store::Error::Full(text) => {
            tracing::error!(error = text, "request refused: store has no room left");
            coded(Code::Unavailable, "the task store has no room left: nothing was changed")
        }
        store::Error::KeyReused { task, .. } => conflict_with(task, error.to_string())
            .extend_with(|_, extensions| extensions.set("field", "idempotencyKey")),
        store::Error::NoUpload(_) => bad_input("source", error.to_string()),
        store::Error::Failed(text) => internal(text),
    }
}

/// The task's state does not allow it.
pub fn in_state(text: impl Into<String>, state: State) -> Error {
    coded(Code::InvalidState, text).extend_with(|_, extensions| extensions.set("state", state.to_string()))
}

fn refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Illegal(illegal) => in_state(refusal.to_string(), illegal.state),
        Refusal::Conflict(holder) => conflict(*holder),
        Refusal::NotFound(id) => no_task(id),
        Refusal::LeaseLost => internal(refusal),
    }
}

/// Input that a kind or the runner refuses.
pub fn from_input(BadInput { field, message }: BadInput) -> Error {
    bad_input(&field, message)
}

/// What a start says.
pub fn from_start(error: StartError) -> Error {
    match error {
        StartError::Input(input) => from_input(input),
        StartError::Store(error) => from_store(error),
    }
}

/// What the datasets say.
pub fn from_datasets(error: datasets::Error) -> Error {
    let text = error.to_string();
    match error {
        datasets::Error::Exists(_) => coded(Code::AlreadyExists, text),
        datasets::Error::Missing(_) => coded(Code::NotFound, text),
        datasets::Error::Columns { .. } | datasets::Error::TooManyColumns { .. } | datasets::Error::Cell { .. } => {
            coded(Code::BadUserInput, text)
        }
        datasets::Error::Unavailable(_) | datasets::Error::Full(_) => coded(Code::Unavailable, text),
        datasets::Error::LeaseLost | datasets::Error::Cancelled | datasets::Error::Failed(_) => internal(text),
    }
}
