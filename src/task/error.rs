//! Errors of tasks.

use super::{Code, TaskErrorCode, text};

/// Error of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError {
    /// One of the API's codes, or one of the embedding program.
    pub code: TaskErrorCode,
    /// Description of the error: what is wrong, where, and what to do.
    pub message: String,
    /// Place in the input to which the error refers.
    pub place: InputPlace,
    /// Another attempt may succeed without a change of the input.
    pub retryable: bool,
}

/// Place in the input of a task. What is unknown or does not apply is None.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputPlace {
    /// Line of the file, from 1.
    pub line: Option<u64>,
    /// Number of the column, from 1.
    pub column: Option<u64>,
    /// Name of the column.
    pub column_name: Option<String>,
}

impl TaskError {
    /// An error without a place. Its code says if another attempt may succeed.
    pub fn new(code: impl Into<TaskErrorCode>, message: impl Into<String>) -> TaskError {
        let code = code.into();
        let retryable = may_succeed(&code);
        TaskError { code, message: message.into(), place: InputPlace::default(), retryable }
    }

    /// Makes the texts storable.
    pub fn storable(mut self) -> TaskError {
        self.message = text::storable(&self.message, text::MESSAGE);
        self.place.column_name = self.place.column_name.map(|name| text::storable(&name, text::FILE_NAME));
        self
    }
}

/// Returns true if the cause of an error with this code may pass without an action of the user.
fn may_succeed(code: &TaskErrorCode) -> bool {
    [Code::Unavailable, Code::Internal, Code::TooBusy].iter().any(|passing| passing.as_str() == code.as_str())
}
