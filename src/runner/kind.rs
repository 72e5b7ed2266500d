//! What a kind of task is to the runner.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Context;
use crate::task::{Code, ResultFile, State, Task, TaskError, TaskErrorCode, Unit, text};

/// A kind of long-running task. Its runs can be paused, resumed and terminated, because [`Context::checkpoint`] is the
/// only way to report progress, and the place where a run learns that it must stop.
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    /// The name that the store keeps, such as `import`. Never change it: stored tasks are found by it.
    fn name(&self) -> &'static str;

    /// Checks what a user wants of a new task.
    ///
    /// # Errors
    /// Input that this kind cannot do, with the field that is wrong. Nothing is started then.
    fn plan(&self, spec: &serde_json::Value) -> Result<Plan, BadInput>;

    /// Does the work, from the last checkpoint on. An async run may also be dropped at any `await`.
    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, Stop>;

    /// Makes the result visible, once the end is decided: nothing stops the task any more. It may be called again after a
    /// crash, so doing it twice must be the same as once. `result` is what the run answered.
    async fn publish(&self, _context: &Context, _result: Option<&ResultFile>) -> Result<(), Failure> {
        Ok(())
    }

    /// Takes away all that the task wrote, however far it came; doing it twice must be the same as once.
    async fn rollback(&self, context: &Context) -> Result<(), Failure>;

    /// Rolls back a task that is about to be FAILED. Must be idempotent. By default the same as [`Kind::rollback`]; a kind may keep
    /// files that explain the failure, which [`Context::noted`] names.
    async fn fail(&self, context: &Context) -> Result<(), Failure> {
        self.rollback(context).await
    }

    /// Drops what is kept of a finished task beside its files and what it published; called as the task is deleted.
    async fn purge(&self, _context: &Context) -> Result<(), Failure> {
        Ok(())
    }

    /// Reports by [`Context::note`] how far the task came, where its own storage knows better than the task store: called
    /// after a crash, before PAUSED is said.
    async fn reconcile(&self, _context: &Context) -> Result<(), Failure> {
        Ok(())
    }

    /// Returns the file that clients download as the task's result. None if there is none (yet).
    fn result_file(&self, task: &Task) -> Option<ResultFile> {
        completed_file(task)
    }

    /// Returns the file of input rows that the task rejected. None if there is none.
    fn rejects_file(&self, _task: &Task) -> Option<ResultFile> {
        None
    }
}

/// The file that a COMPLETED task made.
pub(super) fn completed_file(task: &Task) -> Option<ResultFile> {
    task.result.clone().filter(|_| task.state == State::Completed)
}

/// What the task store needs to know of a new task.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What its progress counts.
    pub unit: Unit,
    /// The whole, where it is known beforehand.
    pub total: Option<u64>,
    /// What only one unfinished task may hold.
    pub unique_key: Option<String>,
    /// The upload that it reads, which is kept as long as the task is.
    pub upload: Option<String>,
    /// What it shares with others of its kind, such as the host that they ask, where its tasks end in a moment. Such a short
    /// task takes no slot, is taken a moment before its time to be on time, and has nothing to publish; one lane that does
    /// not get on holds up no other.
    pub concurrency_key: Option<String>,
}

/// Input that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadInput {
    /// The field that is wrong, as the API names it.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl BadInput {
    /// Input that is wrong in `field`.
    pub fn new(field: &str, message: impl Into<String>) -> BadInput {
        BadInput { field: field.to_owned(), message: message.into() }
    }

    /// Checks a text from a client that is to be stored.
    ///
    /// # Errors
    /// If it contains U+0000 or has more than `limit` characters.
    pub fn check_text(field: &str, text: Option<&str>, limit: usize) -> Result<(), BadInput> {
        let checked = text.map_or(Ok(()), |text| text::check(text, limit));
        checked.map_err(|invalid| BadInput::new(field, format!("{field} {invalid}.")))
    }
}

/// Why a run ends without a result.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// It was asked to.
    #[error("it was asked to stop")]
    Interrupted,
    /// A newer claim holds the task: not another write.
    #[error("a newer run holds the task")]
    LeaseLost,
    /// It failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// An error of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One of the API's codes, or one of the embedding program.
    pub code: TaskErrorCode,
    /// Where and what next.
    pub message: String,
    /// What follows.
    pub retry: Retry,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: another try would fail in the same way.
    Never,
    /// Another try after a pause that grows, as often as the server's settings say.
    Limited,
    /// The same, until what is away is back.
    UntilAvailable,
    /// Another try at that moment: the kind itself knows which is the last.
    At(Timestamp),
}

impl Failure {
    fn new(code: impl Into<TaskErrorCode>, message: impl Into<String>, retry: Retry) -> Failure {
        Failure { code: code.into(), message: message.into(), retry }
    }

    /// The input is bad: no further try would mend it, and what was written is undone.
    pub fn input(message: impl Into<String>) -> Failure {
        Failure::new(Code::BadUserInput, message, Retry::Never)
    }

    /// No further try would mend it, with a code of its own.
    pub fn permanent(code: impl Into<TaskErrorCode>, message: impl Into<String>) -> Failure {
        Failure::new(code, message, Retry::Never)
    }

    /// Something is full, or does not answer as it should: the task is tried again.
    pub fn unavailable(message: impl Into<String>) -> Failure {
        Failure::new(Code::Unavailable, message, Retry::Limited)
    }

    /// A service of the server's own is away: the task waits for it, however long that takes.
    pub fn until_available(message: impl Into<String>) -> Failure {
        Failure::new(Code::Unavailable, message, Retry::UntilAvailable)
    }

    /// Something else went wrong: the task is tried again.
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::new(Code::Internal, message, Retry::Limited)
    }

    /// The same failure, tried again at a moment that the kind chose.
    pub fn again(self, at: Timestamp) -> Failure {
        Failure { retry: Retry::At(at), ..self }
    }

    /// A file could not be read or written.
    pub fn io(what: &str, error: &std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Failure::unavailable(format!("no room is left on the disk for {what}: free some, then resume the task"))
            }
            _ => Failure::internal(format!("{what}: {error}")),
        }
    }
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> TaskError {
        TaskError { code: failure.code, message: failure.message }
    }
}
