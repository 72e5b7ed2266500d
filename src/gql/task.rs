//! The fields that every kind of task has, and the types of those fields.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, OutputType, SimpleObject};

use super::budget::Budget;
use super::error::{self, Result};
use super::loader::Loaders;
use super::progress::ProgressObject;
use super::scalars::{Count, DateTime, Json};
use super::secrets::masked_url;
use crate::access::Caller;
use crate::state::AppState;
use crate::store::QueuePlace;
use crate::task::{self, Event, State, Task, Verb};

/// Lifecycle state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum TaskState {
    /// Waiting for a start time in the future, or for a retry after an error.
    Scheduled,
    /// Waiting for a node with a free slot.
    Queued,
    /// Running on a node.
    Running,
    /// Pause requested. The run has not stopped yet.
    Pausing,
    /// Paused. The task uses no CPU and holds no connection, lock or thread.
    Paused,
    /// Termination requested. What the task wrote is being rolled back. If that fails eight times in a row, or permanently, the task
    /// becomes FAILED.
    Terminating,
    /// Terminated. Everything the task wrote has been rolled back. Final.
    Terminated,
    /// Completed successfully. Final.
    Completed,
    /// Failed. `resume` continues the task from its last checkpoint.
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

/// Control verb for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Verb")]
pub enum ControlVerb {
    /// Stops at the next checkpoint and releases all resources.
    Pause,
    /// Continues from the last checkpoint.
    Resume,
    /// Stops permanently and rolls back everything the task wrote.
    Terminate,
}

/// Error of a task's last attempt.
#[derive(SimpleObject)]
#[graphql(name = "TaskError")]
pub struct TaskErrorObject {
    /// Error code, one of the values of `extensions.code`, such as BAD_USER_INPUT.
    code: String,
    /// Description of the error, and what to do.
    message: String,
    /// Line of the input file, from 1. Null if the error refers to no line.
    line: Option<Count>,
    /// Number of the column, from 1. Null if the error refers to no column.
    column: Option<Count>,
    /// Name of the column. Null if the error refers to no column.
    column_name: Option<String>,
    /// True if another attempt may succeed with the same input: something was unavailable, or failed inside the server.
    retryable: bool,
}

impl From<task::TaskError> for TaskErrorObject {
    fn from(error: task::TaskError) -> TaskErrorObject {
        let task::TaskError { code, message, place, retryable } = error;
        TaskErrorObject {
            code: code.to_string(),
            message,
            line: place.line.map(Count),
            column: place.column.map(Count),
            column_name: place.column_name,
            retryable,
        }
    }
}

/// Kind of author of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ActorType {
    /// A caller of the API.
    Client,
    /// A node that runs the task.
    Node,
    /// The server itself: due times, expired pauses and leases.
    System,
}

/// Author of a change.
#[derive(SimpleObject)]
pub struct Actor {
    /// Kind of author.
    #[graphql(name = "type")]
    kind: ActorType,
    /// Name of the node, or of the client if it has identified itself. Null otherwise.
    name: Option<String>,
}

impl Actor {
    /// The author that a history calls `by`.
    fn of(by: &str) -> Actor {
        match (by, by.strip_prefix("node ")) {
            ("system", _) => Actor { kind: ActorType::System, name: None },
            ("client", _) => Actor { kind: ActorType::Client, name: None },
            (_, Some(node)) => Actor { kind: ActorType::Node, name: Some(node.to_owned()) },
            (client, None) => Actor { kind: ActorType::Client, name: Some(client.to_owned()) },
        }
    }
}

/// File produced by a task.
#[derive(SimpleObject)]
#[graphql(name = "ResultFile")]
pub struct ResultFileObject {
    /// File name for the download.
    name: String,
    /// Size in bytes.
    size: Count,
    /// Media type, such as `text/csv; charset=utf-8`.
    content_type: String,
    /// Download URL, relative to the server's address.
    url: String,
    /// SHA-256 of the file, lowercase hex.
    sha256: String,
}

impl ResultFileObject {
    /// Describes `file`, which is served at `url`.
    pub fn at(url: String, file: &task::ResultFile) -> ResultFileObject {
        let task::ResultFile { name, size, content_type, sha256 } = file.clone();
        ResultFileObject { name, size: Count(size), content_type, url, sha256 }
    }
}

/// One change of a task's state.
#[derive(SimpleObject)]
#[graphql(name = "StateChange")]
pub struct StateChangeObject {
    /// State before the change. Null for the first change, the creation.
    from: Option<TaskState>,
    /// State after the change.
    to: TaskState,
    /// Time of the change.
    at: DateTime,
    /// Author of the change: `client`, `system`, or `node NAME`.
    by: String,
    /// Author of the change, for programs.
    actor: Actor,
    /// Reason of the change. Null if none was given.
    reason: Option<String>,
}

/// The fields that every kind of task has.
pub struct TaskFields<K> {
    task: Arc<Task>,
    kind: K,
    view: KindView,
}

/// Way in which the API shows the spec of a kind.
#[derive(Clone, Copy)]
pub struct KindView {
    /// Returns what a task was asked to do, as clients see it.
    pub spec: fn(&Task) -> Result<Json>,
    /// Returns the limit of rows per second of its spec.
    pub rate: fn(&Task) -> Result<Option<f64>>,
}

impl<K> TaskFields<K> {
    /// The fields of `task`, which the API shows as a task of `kind`.
    pub fn new(task: Arc<Task>, kind: K, view: KindView) -> TaskFields<K> {
        TaskFields { task, kind, view }
    }
}

#[Object]
impl<K: OutputType + Copy> TaskFields<K> {
    /// Unique ID of the task. Never reused.
    pub async fn id(&self) -> ID {
        ID(self.task.id.to_string())
    }

    /// Kind of task.
    pub async fn kind(&self) -> K {
        self.kind
    }

    /// Current lifecycle state.
    pub async fn state(&self) -> TaskState {
        self.task.state.into()
    }

    /// Label chosen by the client, up to 200 characters. Null if it chose none.
    pub async fn label(&self) -> Option<&str> {
        self.task.label.as_deref()
    }

    /// Increases with each change of the task, also of its progress. A snapshot with a higher version is newer.
    pub async fn version(&self) -> Count {
        Count(u64::try_from(self.task.version).unwrap_or(0))
    }

    /// Priority, from -100 to 100. QUEUED tasks of higher priority are claimed first.
    pub async fn priority(&self) -> i32 {
        self.task.priority
    }

    /// Tags, sorted. At most 16.
    pub async fn tags(&self) -> &[String] {
        &self.task.tags
    }

    /// Work that the task was started for, in the shape of the input of its start, with the values that updateTask changed since. Passed to
    /// that start, edited or not, it starts the same again. Secrets are shown as *** (passwords in URLs, values of headers such as
    /// Authorization), which a start refuses: replace them. The idempotency key is left out, a delay of a timer is shown as its time,
    /// and an uploaded file as its uploadId. Of a CustomTask it is the field spec of the input of startCustom.
    pub async fn spec(&self) -> Result<Json> {
        (self.view.spec)(&self.task)
    }

    /// Limit in force, in rows per second. Null for no limit, and for kinds that have none. updateTask changes it.
    pub async fn max_rows_per_second(&self) -> Result<Option<f64>> {
        Ok(task::rate_in_force(self.task.max_rows_per_second, (self.view.rate)(&self.task)?))
    }

    /// URL that receives a signed webhook at each final state. Its password is shown as ***. Null if there is none.
    pub async fn notify_url(&self) -> Option<String> {
        self.task.notify_url.as_deref().map(masked_url)
    }

    /// Verbs that change the task in its current state. The others are refused, or return it as it is.
    pub async fn allowed_verbs(&self) -> Vec<ControlVerb> {
        let state = self.task.state;
        let events = [(Verb::Pause, Event::Pause), (Verb::Resume, Event::Resume), (Verb::Terminate, Event::Terminate)];
        let changes = |event| state.next(event).is_ok_and(|next| next != state);
        events.into_iter().filter(|(_, event)| changes(*event)).map(|(verb, _)| verb.into()).collect()
    }

    /// Name of the server node that runs the task. Null if none does.
    pub async fn running_on(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let Some(owner) = &self.task.owner else { return Ok(None) };
        let (store, caller) = (app.store.clone(), caller.clone());
        let read = async move |ids: Vec<String>| store.node_names(&caller, &ids).await.map_err(error::from_store);
        ctx.data_unchecked::<Loaders>().node_names.load(owner.clone(), read).await
    }

    /// Subject of the caller that started the task. `anonymous` if it has not identified itself.
    pub async fn created_by(&self) -> &str {
        &self.task.created_by
    }

    /// While QUEUED, number of tasks that will be claimed before this one. Null in other states, for timers, and if there are more
    /// than 10,000.
    pub async fn queue_position(&self, ctx: &Context<'_>) -> Result<Option<Count>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let Some(place) = QueuePlace::of(&self.task) else { return Ok(None) };
        let (store, caller) = (app.store.clone(), caller.clone());
        let read = async move |places: Vec<_>| store.queue_positions(&caller, &places).await.map_err(error::from_store);
        Ok(ctx.data_unchecked::<Loaders>().queue_positions.load(place, read).await?.map(Count))
    }

    /// Progress as of the last commit.
    pub async fn progress(&self) -> ProgressObject {
        ProgressObject::from(&*self.task)
    }

    /// Number of restarts after a crash or an error. A clean shutdown does not count.
    pub async fn attempt(&self) -> i32 {
        i32::try_from(self.task.attempt).unwrap_or(i32::MAX)
    }

    /// Error of the last attempt. Set when FAILED, and while a retry is SCHEDULED.
    pub async fn error(&self) -> Option<TaskErrorObject> {
        self.task.error.clone().map(TaskErrorObject::from)
    }

    /// File that the task produced. Null before COMPLETED, and for kinds that produce none.
    pub async fn result(&self, ctx: &Context<'_>) -> Option<ResultFileObject> {
        let file = ctx.data_unchecked::<AppState>().runner.result_file(&self.task)?;
        Some(ResultFileObject::at(format!("/download/{}", self.task.id), &file))
    }

    /// Time at which the task was created.
    pub async fn created_at(&self) -> DateTime {
        self.task.created_at.into()
    }

    /// Earliest time of the first run. Null if it is not later than createdAt.
    pub async fn start_at(&self) -> Option<DateTime> {
        self.task.start_at.map(DateTime)
    }

    /// Time of the first run. Null before it.
    pub async fn started_at(&self) -> Option<DateTime> {
        self.task.started_at.map(DateTime)
    }

    /// Time at which the task became COMPLETED, FAILED or TERMINATED. Null before that.
    pub async fn finished_at(&self) -> Option<DateTime> {
        self.task.finished_at.map(DateTime)
    }

    /// Time at which the task became PAUSED. Null in every other state.
    pub async fn paused_at(&self) -> Option<DateTime> {
        self.task.paused_at.map(DateTime)
    }

    /// Time at which the server ends the pause. Null if it has no expiry, or the task is not paused.
    pub async fn pause_expires_at(&self) -> Option<DateTime> {
        self.task.expiry.map(|expiry| expiry.at.into())
    }

    /// The newest 500 state changes, oldest first, each with its author and reason.
    pub async fn history(&self, ctx: &Context<'_>) -> Result<Vec<StateChangeObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let permit = ctx.data_unchecked::<Budget>().changes.permit().await?;
        let changes = app.store.history(caller, self.task.id).await.map_err(error::from_store)?;
        permit.spend(changes.len());
        Ok(changes.into_iter().map(Into::into).collect())
    }
}

impl From<task::StateChange> for StateChangeObject {
    fn from(change: task::StateChange) -> StateChangeObject {
        StateChangeObject {
            from: change.from.map(TaskState::from),
            to: change.to.into(),
            at: change.at.into(),
            actor: Actor::of(&change.by),
            by: change.by,
            reason: change.reason,
        }
    }
}

/// Defines a type of the API from the fields that all tasks have and the kind's own ones.
macro_rules! task_type {
    ($(#[$doc:meta])* $name:ident, $fields:ident, $kinds:ident::$kind:ident, $view:ident) => {
        $(#[$doc])*
        #[derive(async_graphql::MergedObject)]
        pub struct $name($crate::gql::task::TaskFields<$kinds>, $fields);

        impl From<std::sync::Arc<$crate::task::Task>> for $name {
            fn from(task: std::sync::Arc<$crate::task::Task>) -> $name {
                let common = $crate::gql::task::TaskFields::new(std::sync::Arc::clone(&task), $kinds::$kind, $view);
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
