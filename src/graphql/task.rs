//! The fields that every kind of task has.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use super::budget::Budget;
use super::error::{self, Result};
use super::progress::Progress;
use super::scalars::{Count, DateTime};
use super::services::Services;
use crate::kinds::{export, import, pi, timer};
use crate::runner::BadInput;
use crate::store::Filter;
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

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum TaskKind {
    /// A CSV file into a dataset.
    Import,
    /// A dataset into a CSV file.
    Export,
    /// Digits of pi into a zip.
    Pi,
    /// A POST to an address at a moment.
    Timer,
    /// A kind that the embedding program registered.
    Custom,
}

impl TaskKind {
    /// What a kind of the store is to clients.
    pub fn of(name: &str) -> TaskKind {
        match name {
            import::NAME => TaskKind::Import,
            export::NAME => TaskKind::Export,
            pi::NAME => TaskKind::Pi,
            timer::NAME => TaskKind::Timer,
            _ => TaskKind::Custom,
        }
    }

    /// The names of its kinds in the store.
    fn names(self, services: &Services) -> Vec<String> {
        match self {
            TaskKind::Import => vec![import::NAME.to_owned()],
            TaskKind::Export => vec![export::NAME.to_owned()],
            TaskKind::Pi => vec![pi::NAME.to_owned()],
            TaskKind::Timer => vec![timer::NAME.to_owned()],
            TaskKind::Custom => services.custom_kinds.clone(),
        }
    }
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

/// Which tasks: those that match every part that is given.
#[derive(Clone, Debug, Default, InputObject)]
pub struct TaskFilter {
    /// Any of these ids.
    pub ids: Option<Vec<ID>>,
    /// Any of these kinds.
    pub kinds: Option<Vec<TaskKind>>,
    /// Any of these states.
    pub states: Option<Vec<TaskState>>,
    /// Exactly this label.
    pub label: Option<String>,
}

impl TaskFilter {
    /// The filter as the store takes it.
    pub fn read(self, services: &Services) -> Result<Filter> {
        let ids = self.ids.map(|ids| ids.iter().map(|id| error::task_id(id)).collect::<Result<_>>()).transpose()?;
        let kinds = self.kinds.map(|kinds| kinds.into_iter().flat_map(|kind| kind.names(services)).collect());
        let states = self.states.map(|states| states.into_iter().map(State::from).collect());
        BadInput::check_text("filter.label", self.label.as_deref(), usize::MAX).map_err(error::from_input)?;
        Ok(Filter { ids, kinds, states, label: self.label })
    }
}

/// The fields that every kind of task has.
pub struct TaskFields(pub Arc<Task>);

#[Object]
impl TaskFields {
    /// The task's name for ever.
    pub async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// What it is.
    pub async fn kind(&self) -> TaskKind {
        TaskKind::of(&self.0.kind)
    }

    /// Where it stands.
    pub async fn state(&self) -> TaskState {
        self.0.state.into()
    }

    /// The user's own name for it.
    pub async fn label(&self) -> Option<&str> {
        self.0.label.as_deref()
    }

    /// How far it came.
    pub async fn progress(&self) -> Progress {
        Progress::from(&*self.0)
    }

    /// Times that it was taken up again after a crash or an error. A clean shutdown spends none.
    pub async fn attempt(&self) -> i32 {
        i32::try_from(self.0.attempt).unwrap_or(i32::MAX)
    }

    /// Why it failed; while SCHEDULED, why its last try did.
    pub async fn error(&self) -> Option<TaskError> {
        let error = self.0.error.clone()?;
        Some(TaskError { code: error.code.to_string(), message: error.message })
    }

    /// The file that it made, once COMPLETED.
    pub async fn result(&self) -> Option<ResultFile> {
        let made = self.0.result.as_ref().filter(|_| self.0.state == State::Completed);
        // What an import leaves are its rejects.
        let file = made.filter(|_| TaskKind::of(&self.0.kind) != TaskKind::Import)?;
        Some(ResultFile::at(format!("/download/{}", self.0.id), file))
    }

    /// When it was started by the user.
    pub async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it may first run, where that is later than createdAt.
    pub async fn start_at(&self) -> Option<DateTime> {
        self.0.start_at.map(DateTime)
    }

    /// When it first ran.
    pub async fn started_at(&self) -> Option<DateTime> {
        self.0.started_at.map(DateTime)
    }

    /// When it ended.
    pub async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(DateTime)
    }

    /// Since when it is PAUSED.
    pub async fn paused_at(&self) -> Option<DateTime> {
        self.0.paused_at.map(DateTime)
    }

    /// When its pause ends by itself.
    pub async fn pause_expires_at(&self) -> Option<DateTime> {
        self.0.expiry.map(|expiry| expiry.at.into())
    }

    /// Changes of state, oldest first, with who asked and why: the newest 500.
    pub async fn history(&self, ctx: &Context<'_>) -> Result<Vec<StateChange>> {
        let services = ctx.data_unchecked::<Services>();
        let turn = ctx.data_unchecked::<Budget>().changes.turn().await?;
        let changes = services.store.history(self.0.id).await.map_err(error::from_store)?;
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

/// Makes a type of the API out of the fields that all tasks have and those of its own.
macro_rules! task_type {
    ($(#[$doc:meta])* $name:ident, $fields:ident) => {
        $(#[$doc])*
        #[derive(async_graphql::MergedObject)]
        pub struct $name($crate::graphql::task::TaskFields, $fields);

        impl From<std::sync::Arc<$crate::task::Task>> for $name {
            fn from(task: std::sync::Arc<$crate::task::Task>) -> $name {
                $name($crate::graphql::task::TaskFields(std::sync::Arc::clone(&task)), $fields(task))
            }
        }

        impl std::ops::Deref for $name {
            type Target = $crate::graphql::task::TaskFields;

            fn deref(&self) -> &$crate::graphql::task::TaskFields {
                &self.0
            }
        }
    };
}
pub(crate) use task_type;
