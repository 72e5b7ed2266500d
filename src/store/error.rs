//! What may go wrong in the store.

use crate::task::{Refusal, TaskId};

/// A refusal, or a failure of the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The task stays as it is.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many tasks wait already.
    #[error("{waiting} tasks wait already, and the limit is {limit}: try again later")]
    TooBusy {
        /// Tasks that wait.
        waiting: u64,
        /// The setting `max_waiting`.
        limit: u64,
    },
    /// The idempotency key of a start belongs to a start of another kind or with another input.
    #[error(
        "the idempotency key {key:?} was used for task {task} with a different input: repeat that input, or use a new key"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The task that the key belongs to.
        task: TaskId,
    },
    /// The upload that a new task would read is not there, or not whole.
    #[error("there is no whole upload {0}: send the file first, all of it")]
    NoUpload(String),
    /// The database cannot be reached: nothing was changed, and the same call may go through later.
    #[error("the task store is away: {0}")]
    Unavailable(String),
    /// The database has no room left.
    #[error("the task store has no room left: {0}")]
    Full(String),
    /// Anything else that the database says.
    #[error("the task store failed: {0}")]
    Failed(String),
}

impl Error {
    /// No task of that id.
    pub fn not_found(id: TaskId) -> Error {
        Error::Refused(Refusal::NotFound(id))
    }

    /// The database cannot be reached.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Error::Unavailable(_))
    }

    /// The run that meets this must stop without another write.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self, Error::Refused(Refusal::LeaseLost | Refusal::NotFound(_)))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        let text = error.to_string();
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Error::Unavailable(text),
            sqlx::Error::Database(database) => by_code(database.code().as_deref().unwrap_or(""), text),
            _ => Error::Failed(text),
        }
    }
}

/// PostgreSQL's SQLSTATE (classes 08 and 57P, 53300, 53100) and SQLite's result codes (BUSY 5, IOERR 10, FULL 13).
fn by_code(code: &str, text: String) -> Error {
    match code {
        "53100" | "13" => Error::Full(text),
        "53300" | "5" => Error::Unavailable(text),
        code if code.starts_with("08") || code.starts_with("57P") => Error::Unavailable(text),
        _ => Error::Failed(text),
    }
}
