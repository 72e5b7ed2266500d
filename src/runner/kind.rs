//! Kinds of task, as the runner sees them.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Context, Notifier};
use crate::files::FileFault;
use crate::task::{Code, InputPlace, ResultFile, Retry, State, Task, TaskError, TaskErrorCode, Unit, text};

/// Kind of long-running task. Its runs can be paused, resumed and terminated, because [`Context::checkpoint`] is the only way
/// to report progress, and returns an error when a run must stop.
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    /// Returns the name under which the store keeps tasks of this kind, such as `import`. Must never change.
    fn name(&self) -> &'static str;

    /// Validates the spec of a new task.
    ///
    /// # Errors
    /// Invalid input, with the field that is wrong. No task is started then.
    fn plan(&self, spec: &serde_json::Value) -> Result<TaskPlan, BadInput>;

    /// Returns the dataset that a task with this spec reads or writes. Tasks are found by it.
    fn dataset(&self, _spec: &serde_json::Value) -> Option<String> {
        None
    }

    /// Returns the name of the file that a task with this spec reads. Tasks are found by it. Default: the name of its upload.
    fn file_name(&self, _spec: &serde_json::Value) -> Option<String> {
        None
    }

    /// Returns true if its runs write working files. While the disk of a node is full, such tasks are left to nodes that have space.
    fn writes_files(&self) -> bool {
        true
    }

    /// Returns true if its runs keep to [`Context::rate_limit`], so that clients may change it.
    fn has_rate_limit(&self) -> bool {
        false
    }

    /// Returns what delivers notices of final states, if tasks of this kind do that.
    fn notifier(&self) -> Option<Arc<dyn Notifier>> {
        None
    }

    /// Does the work, from the last checkpoint on. May be dropped at any `await`.
    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, StopReason>;

    /// Puts the finished file in its place, before [`Kind::publish`]. `result` is what the run returned. Nothing is visible yet: after
    /// a failure the task runs again and makes its file again. Must be idempotent: it is called again after a crash.
    async fn place_result(&self, _context: &Context, _result: Option<&ResultFile>) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes the result visible. It is not interrupted; [`Kind::terminate`] may follow it. `result` is what the run returned. Must
    /// be idempotent: it is called again after a crash. A failure that is not retried, or the last attempt, rolls the task back.
    async fn publish(&self, _context: &Context, _result: Option<&ResultFile>) -> Result<(), Failure> {
        Ok(())
    }

    /// Rolls back everything the task wrote. Must be idempotent.
    async fn rollback(&self, context: &Context) -> Result<(), Failure>;

    /// Rolls back a task that is terminated, unless its result is visible already: a client may request the termination while
    /// [`Kind::publish`] runs or is repeated. Afterwards no older run may publish. Must be idempotent. Default: [`Kind::rollback`],
    /// for kinds whose result is visible only once the task is COMPLETED.
    async fn terminate(&self, context: &Context) -> Result<Termination, Failure> {
        self.rollback(context).await?;
        Ok(Termination::RolledBack)
    }

    /// Rolls back a task that becomes FAILED. Must be idempotent. Default: [`Kind::rollback`]. A kind may keep files that explain
    /// the failure, named by [`Context::latest_cursor`].
    async fn fail(&self, context: &Context) -> Result<(), Failure> {
        self.rollback(context).await
    }

    /// Deletes a finished task's remaining data (not its files or published results). Called when the task is deleted.
    async fn purge(&self, _context: &Context) -> Result<(), Failure> {
        Ok(())
    }

    /// Sets the checkpoint by [`Context::set_checkpoint`] if the kind's own storage is ahead of the task store. Called after a
    /// crash, before the task becomes PAUSED.
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

/// Outcome of the termination of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Termination {
    /// Nothing is left. The task is TERMINATED.
    RolledBack,
    /// This result was published before, so nothing was rolled back. The task is COMPLETED.
    Published(Option<ResultFile>),
}

/// The file that a COMPLETED task made.
pub(super) fn completed_file(task: &Task) -> Option<ResultFile> {
    task.result.clone().filter(|_| task.state == State::Completed)
}

/// Properties of a new task that the task store needs.
#[derive(Clone, Debug)]
pub struct TaskPlan {
    /// Unit of its progress.
    pub unit: Unit,
    /// Total amount, if it is known beforehand.
    pub total: Option<u64>,
    /// Only one unfinished task may have this key.
    pub unique_key: Option<String>,
    /// Upload that it reads. Kept as long as the task.
    pub upload: Option<String>,
    /// Makes it a short task: one that takes no slot, is claimed shortly before it is due, and publishes nothing. Tasks with
    /// the same key, such as the host that they call, share a limit, so that a slow key does not delay others.
    pub concurrency_key: Option<String>,
}

/// Invalid input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadInput {
    /// Name of the field in the API.
    pub field: String,
    /// Description of the invalid value, and the allowed ones.
    pub message: String,
}

impl BadInput {
    /// Invalid input in `field`.
    pub fn new(field: &str, message: impl Into<String>) -> BadInput {
        BadInput { field: field.to_owned(), message: message.into() }
    }

    /// Validates a text from a client that will be stored.
    ///
    /// # Errors
    /// If it contains U+0000 or has more than `limit` characters.
    pub fn check_text(field: &str, text: Option<&str>, limit: usize) -> Result<(), BadInput> {
        let checked = text.map_or(Ok(()), |text| text::check(text, limit));
        checked.map_err(|invalid| BadInput::new(field, format!("{field} {invalid}.")))
    }
}

/// Reason for which a run stopped without a result.
#[derive(Debug, thiserror::Error)]
pub enum StopReason {
    /// A stop was requested.
    #[error("a stop was requested")]
    Interrupted,
    /// A newer run owns the task. This one must not write any more.
    #[error("a newer run owns the task")]
    LeaseLost,
    /// It failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Error of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One of the API's codes, or one of the embedding program.
    pub code: TaskErrorCode,
    /// Description of the failure: what is wrong, where, and what to do.
    pub message: String,
    /// Step that follows the failure.
    pub retry: Retry,
    /// Place in the input to which it refers.
    pub place: InputPlace,
}

impl Failure {
    fn new(code: impl Into<TaskErrorCode>, message: impl Into<String>, retry: Retry) -> Failure {
        Failure { code: code.into(), message: message.into(), retry, place: InputPlace::default() }
    }

    /// The input is invalid. The task is rolled back and FAILED.
    pub fn input(message: impl Into<String>) -> Failure {
        Failure::new(Code::BadUserInput, message, Retry::Never)
    }

    /// A retry would not help. The task is rolled back and FAILED with this code.
    pub fn permanent(code: impl Into<TaskErrorCode>, message: impl Into<String>) -> Failure {
        Failure::new(code, message, Retry::Never)
    }

    /// The disk of this node is full. The task is retried without limit, by another node if there is one.
    pub fn full(message: impl Into<String>) -> Failure {
        Failure::new(Code::Unavailable, message, Retry::Elsewhere)
    }

    /// Something does not respond. The task is retried.
    pub fn unavailable(message: impl Into<String>) -> Failure {
        Failure::new(Code::Unavailable, message, Retry::Limited)
    }

    /// A service of this server is unavailable. The task is retried without limit.
    pub fn until_available(message: impl Into<String>) -> Failure {
        Failure::new(Code::Unavailable, message, Retry::UntilAvailable)
    }

    /// Any other error. The task is retried.
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::new(Code::Internal, message, Retry::Limited)
    }

    /// The same failure at that place of the input.
    pub fn at_place(self, place: InputPlace) -> Failure {
        Failure { place, ..self }
    }

    /// The same failure with a retry at that moment.
    pub fn retry_at(self, at: Timestamp) -> Failure {
        Failure { retry: Retry::At(at), ..self }
    }

    /// `what` could not be read or written. The task is retried: without limit if the files are unavailable or the disk is full.
    pub fn io(what: &str, error: &std::io::Error) -> Failure {
        match FileFault::of(error) {
            FileFault::Full => Failure::full(format!(
                "The disk is full: cannot write {what}. The task continues when there is space, or on another node."
            )),
            FileFault::Unavailable => {
                Failure::until_available(format!("Cannot read or write {what}: {error}. The task waits for it."))
            }
            FileFault::Missing => Failure::internal(format!("Cannot find {what}: {error}.")),
            FileFault::Failed => Failure::internal(format!("Cannot read or write {what}: {error}.")),
        }
    }
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> TaskError {
        TaskError {
            retryable: failure.retry != Retry::Never,
            place: failure.place,
            ..TaskError::new(failure.code, failure.message)
        }
    }
}
