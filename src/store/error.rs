//! Errors of the store.

use crate::database::{Outage, is_lost};
use crate::task::{Refusal, TaskId};

/// A refusal, or a failure of the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The change was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many tasks wait.
    #[error("{waiting} tasks are waiting; the limit is {limit}. Try again later.")]
    TooBusy {
        /// Number of waiting tasks.
        waiting: u64,
        /// The setting `max_waiting`.
        limit: u64,
    },
    /// The idempotency key of a start belongs to a start of another kind or with another input.
    #[error(
        "The idempotency key {key:?} was used for task {task} with a different input. Repeat that input or use a new key."
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The task that the key belongs to.
        task: TaskId,
    },
    /// The upload of a new task does not exist or is not complete.
    #[error("Upload {0} does not exist or is not complete. Send the whole file first.")]
    NoUpload(String),
    /// The database is unavailable. Nothing was changed, and the same call may succeed later.
    #[error("task store unavailable: {0}")]
    Unavailable(String),
    /// The database does not respond. As [`Error::Unavailable`], but the outage has a log line of its own.
    #[error("task store unavailable: {0}")]
    Outage(String),
    /// The disk of the database is full.
    #[error("the disk of the task store is full: {0}")]
    Full(String),
    /// The database can never hold a value, such as a text with characters that its encoding lacks. The same call fails again.
    #[error("the task store cannot hold a value: {0}")]
    Unstorable(String),
    /// Any other error of the database.
    #[error("the task store failed: {0}")]
    Failed(String),
    /// The database cannot be opened.
    #[error("task store: {0}")]
    Unusable(String),
}

impl Error {
    /// Returns the error for a task that does not exist.
    pub fn not_found(id: TaskId) -> Error {
        Error::Refused(Refusal::NotFound(id))
    }

    /// Returns true if the database is unavailable.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::Outage(_))
    }

    /// Returns true if the failure belongs to an outage that is logged.
    pub fn is_outage(&self) -> bool {
        matches!(self, Error::Outage(_))
    }

    /// Returns true if the run must stop without another write.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self, Error::Refused(Refusal::LeaseLost | Refusal::NotFound(_)))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        if let Some(outage) = Outage::of(&error) {
            return Error::Outage(outage.to_string());
        }
        let text = error.to_string();
        match &error {
            error if is_lost(error) => Error::Unavailable(text),
            sqlx::Error::Database(database) => by_code(database.code().as_deref().unwrap_or(""), text),
            _ => Error::Failed(text),
        }
    }
}

/// Classifies SQLSTATEs of PostgreSQL (53100; data exceptions 22, limits 54, checks 23514 and 23502) and result codes of SQLite
/// (BUSY 5, FULL 13; TOOBIG 18, checks 275 and 1299).
fn by_code(code: &str, text: String) -> Error {
    match code {
        "53100" | "13" => Error::Full(text),
        "5" => Error::Unavailable(text),
        "23514" | "23502" | "18" | "275" | "1299" => Error::Unstorable(text),
        code if code.len() == 5 && (code.starts_with("22") || code.starts_with("54")) => Error::Unstorable(text),
        _ => Error::Failed(text),
    }
}
