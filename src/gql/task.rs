//! The fields that every kind of task has.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, OutputType, SimpleObject};

use super::budget::Budget;
use super::error::{self, Result};
use super::progress::Progress;
use super::scalars::{Count, DateTime};
use super::services::Services;
use crate::task::{self, State, Task, Verb};

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum TaskState {
    /// Waits for its time: a start in the future, or the next try after an error.
    Scheduled,
    /// Runs as soon as a node has a free slot.
    Queued,
    /// A node works on it.
    Running,
    /// Asked to pause; its run has not let go yet.
    Pausing,
    /// Nothing moves, and nothing is held for it.
    Paused,
    /// Asked to end; what it wrote is being undone.
    Terminating,
    /// Ended for good, with nothing left of what it wrote.
    Terminated,
    /// Done.
    Completed,
    /// Ended by an error; `resume` takes it up again.
    Failed,
}

impl From<State> for TaskState {
    fn from(state: State) -> TaskState {
        match state {
            State::Scheduled => TaskState::Scheduled,
            State::Queued => TaskState::Queued,
            State::Running | State::Finishing => TaskState::Running,
            State::Pausing => TaskState::Pausing,
            State::Paused => TaskState::Paused,
            State::Terminating => TaskState::Terminating,
            State::Terminated => TaskState::Terminated,
            State::Completed => TaskState::Completed,
            State::Failed => TaskState::Failed,
        }
    }
}

impl From<TaskState> for State {
    fn from(state: TaskState) -> State {
        match state {
            TaskState::Scheduled => State::Scheduled,
            TaskState::Queued => State::Queued,
            TaskState::Running => State::Running,
            TaskState::Pausing => State::Pausing,
            TaskState::Paused => State::Paused,
            TaskState::Terminating => State::Terminating,
            TaskState::Terminated => State::Terminated,
            TaskState::Completed => State::Completed,
            TaskState::Failed => State::Failed,
        }
    }
}

/// What may be asked of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Verb")]
pub enum ControlVerb {
    /// Stand still, hold nothing, keep the place.
    Pause,
    /// Go on from the last checkpoint.
    Resume,
    /// End for good and undo what was written.
    Terminate,
}

/// Why a task failed, or why its last try did.
#[derive(SimpleObject)]
pub struct TaskError {
    /// One of the codes of the API, such as BAD_USER_INPUT.
    code: String,
    /// Where it went wrong, and what to do next.
    message: String,
}

/// A file that a task made.
#[derive(SimpleObject)]
pub struct ResultFile {
    /// The name that a browser saves it under.
    name: String,
    /// Its size in bytes.
    size: Count,
    /// Its media type.
    content_type: String,
    /// Where to get it, relative to the server.
    url: String,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    sha256: String,
}

impl ResultFile {
    /// A file that is served at `url`.
    pub fn at(url: String, file: &task::ResultFile) -> ResultFile {
        let task::ResultFile { name, size, content_type, sha256 } = file.clone();
        ResultFile { name, size: Count(size), content_type, url, sha256 }
    }
}

/// A change of a task's state.
#[derive(SimpleObject)]
pub struct StateChange {
    /// The state before; null for the first.
    from: Option<TaskState>,
    /// The state after.
    to: TaskState,
    /// When.
    at: DateTime,
    /// Who: `client`, `system`, or `node` and the node's name.
    by: String,
    /// Why, where somebody said so.
    reason: Option<String>,
}

/// The fields that every kind of task has.
pub struct TaskFields<K> {
    task: Arc<Task>,
    kind: K,
}

impl<K> TaskFields<K> {
    /// The fields of `task`, which the API shows as a task of `kind`.
    pub fn new(task: Arc<Task>, kind: K) -> TaskFields<K> {
        TaskFields { task, kind }
    }
}

#[Object]
impl<K: OutputType + Copy> TaskFields<K> {
    /// The task's name for ever.
    pub async fn id(&self) -> ID {
        ID(self.task.id.to_string())
    }

    /// What it is.
    pub async fn kind(&self) -> K {
        self.kind
    }

    /// Where it stands.
    pub async fn state(&self) -> TaskState {
        self.task.state.into()
    }

    /// The user's own name for it.
    pub async fn label(&self) -> Option<&str> {
        self.task.label.as_deref()
    }

    /// How far it came.
    pub async fn progress(&self) -> Progress {
        Progress::from(&*self.task)
    }

    /// Times that it was taken up again after a crash or an error. A clean shutdown spends none.
    pub async fn attempt(&self) -> i32 {
        i32::try_from(self.task.attempt).unwrap_or(i32::MAX)
    }

    /// Why it failed; while SCHEDULED, why its last try did.
    pub async fn error(&self) -> Option<TaskError> {
        let error = self.task.error.clone()?;
        Some(TaskError { code: error.code.to_string(), message: error.message })
    }

    /// The file that it made, once COMPLETED.
    pub async fn result(&self, ctx: &Context<'_>) -> Option<ResultFile> {
        let file = ctx.data_unchecked::<Services>().runner.result_file(&self.task)?;
        Some(ResultFile::at(format!("/download/{}", self.task.id), &file))
    }

    /// When it was started by the user.
    pub async fn created_at(&self) -> DateTime {
        self.task.created_at.into()
    }

    /// When it may first run, where that is later than createdAt.
    pub async fn start_at(&self) -> Option<DateTime> {
        self.task.start_at.map(DateTime)
    }

    /// When it first ran.
    pub async fn started_at(&self) -> Option<DateTime> {
        self.task.started_at.map(DateTime)
    }

    /// When it ended.
    pub async fn finished_at(&self) -> Option<DateTime> {
        self.task.finished_at.map(DateTime)
    }

    /// Since when it is PAUSED.
    pub async fn paused_at(&self) -> Option<DateTime> {
        self.task.paused_at.map(DateTime)
    }

    /// When its pause ends by itself.
    pub async fn pause_expires_at(&self) -> Option<DateTime> {
        self.task.expiry.map(|expiry| expiry.at.into())
    }

    /// Changes of state, oldest first, with who asked and why: the newest 500.
    pub async fn history(&self, ctx: &Context<'_>) -> Result<Vec<StateChange>> {
        let services = ctx.data_unchecked::<Services>();
        let turn = ctx.data_unchecked::<Budget>().changes.turn().await?;
        let changes = services.store.history(self.task.id).await.map_err(error::from_store)?;
        turn.used(changes.len());
        Ok(changes.into_iter().map(Into::into).collect())
    }
}

impl From<task::StateChange> for StateChange {
    fn from(change: task::StateChange) -> StateChange {
        StateChange {
            from: change.from.map(TaskState::from),
            to: change.to.into(),
            at: change.at.into(),
            by: change.by,
            reason: change.reason,
        }
    }
}

/// Defines a type of the API from the fields that all tasks have and the kind's own ones.
macro_rules! task_type {
    ($(#[$doc:meta])* $name:ident, $fields:ident, $kinds:ident::$kind:ident) => {
        $(#[$doc])*
        #[derive(async_graphql::MergedObject)]
        pub struct $name($crate::gql::task::TaskFields<$kinds>, $fields);

        impl From<std::sync::Arc<$crate::task::Task>> for $name {
            fn from(task: std::sync::Arc<$crate::task::Task>) -> $name {
                let common = $crate::gql::task::TaskFields::new(std::sync::Arc::clone(&task), $kinds::$kind);
                $name(common, $fields(task))
            }
        }

        impl std::ops::Deref for $name {
            type Target = $crate::gql::task::TaskFields<$kinds>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    };
}
pub(crate) use task_type;
