//! Tasks and their lifecycle. Pure: no time, no disk, no network.
//!
//! Read [`state`] first (the lifecycle table), then [`Task`] and its verbs in [`change`].

mod author;
pub mod change;
pub mod code;
mod error;
pub mod id;
mod node;
pub mod retry;
pub mod state;
pub mod text;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use author::Author;
pub use change::{ControlRequest, Refusal, TaskUpdate, Verb};
pub use code::{Code, TaskErrorCode};
pub use error::{InputPlace, TaskError};
pub use id::TaskId;
pub use node::NodeIdentity;
pub use retry::{Retry, RetryPolicy};
pub use state::{Event, Illegal, State};

/// Subject of callers that have not identified themselves.
pub const ANONYMOUS: &str = "anonymous";

/// A task, as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Unique ID. Never reused.
    pub id: TaskId,
    /// Name of the kind, such as `import`.
    pub kind: String,
    /// Lifecycle state.
    pub state: State,
    /// Increases with each claim. A run with an older epoch has lost its lease.
    pub epoch: i64,
    /// Increases with each change. A snapshot with a higher version is newer.
    pub version: i64,
    /// ID of the node that has claimed the task. None if no node has.
    pub owner: Option<String>,
    /// Label chosen by the client, up to 200 characters.
    pub label: Option<String>,
    /// Dataset that the task reads or writes.
    pub dataset: Option<String>,
    /// Name of the file that the task reads.
    pub file_name: Option<String>,
    /// Input of the task, as JSON of its kind.
    pub spec: String,
    /// Last checkpoint, as JSON of its kind.
    pub cursor: Option<String>,
    /// Progress as of the last commit.
    pub progress: Progress,
    /// Number of restarts after a crash or an error. A clean shutdown does not count.
    pub attempt: u32,
    /// Number of crashes of its node in a row without progress.
    pub crashes: u32,
    /// Number of errors in a row without progress.
    pub failures: u32,
    /// Number of waits for something unavailable in a row without progress. They count neither as attempts nor as failures.
    pub waits: u32,
    /// Error of the last attempt.
    pub error: Option<TaskError>,
    /// Result file.
    pub result: Option<ResultFile>,
    /// Time of the client's request.
    pub created_at: Timestamp,
    /// Earliest time at which the task may run. None: immediately.
    pub start_at: Option<Timestamp>,
    /// Time of the first claim.
    pub started_at: Option<Timestamp>,
    /// Time at which the task reached a final state.
    pub finished_at: Option<Timestamp>,
    /// Time of the pause. Only while PAUSED.
    pub paused_at: Option<Timestamp>,
    /// Time of the last change of its state, at first that of its creation.
    pub updated_at: Timestamp,
    /// Time of the task's next change that needs no request.
    pub due_at: Option<Timestamp>,
    /// Time at which the next attempt of a short task is due. Deferring the attempt does not change it.
    pub due_since: Option<Timestamp>,
    /// Expiry of the pause.
    pub expiry: Option<PauseExpiry>,
    /// Key that only one unfinished task may have, such as `dataset:people`.
    pub unique_key: Option<String>,
    /// Identifies the start: a second one with the same key and input returns this task.
    pub idempotency_key: Option<IdempotencyKey>,
    /// ID of the upload that the task reads.
    pub upload: Option<String>,
    /// Key whose tasks are limited together, such as the host of a request. A task with such a key is short: it takes no slot,
    /// and many are claimed and ended in one write.
    pub concurrency_key: Option<String>,
    /// Span of the start, as a W3C traceparent header.
    pub trace_parent: Option<String>,
    /// Tags chosen by the client, sorted, at most 16.
    pub tags: Vec<String>,
    /// Queued tasks of higher priority are claimed first. From -100 to 100.
    pub priority: i32,
    /// URL that receives a webhook at each final state. May contain a password: never shown.
    pub notify_url: Option<String>,
    /// Subject of the caller that started the task.
    pub created_by: String,
    /// Rate limit that replaces the one of the spec, in rows per second: 0 for none. None: the one of the spec holds.
    pub max_rows_per_second: Option<f64>,
}

/// Returns the rate limit in force: the one that a client set since the start, else the one of the spec. 0 is none.
pub fn rate_in_force(changed: Option<f64>, of_spec: Option<f64>) -> Option<f64> {
    changed.or(of_spec).filter(|rate| *rate > 0.0)
}

/// Makes a start repeatable. It belongs to one kind of task and to one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key, chosen by the client.
    pub text: String,
    /// SHA-256 of the start's input, in lowercase hex. None for tasks that were stored before inputs were compared.
    pub input_sha256: Option<String>,
}

impl Task {
    /// Returns the size of the texts that clients and runs choose, in bytes.
    pub fn text_bytes(&self) -> usize {
        let texts =
            [&self.label, &self.cursor, &self.unique_key, &self.concurrency_key, &self.notify_url, &self.file_name];
        let error = self.error.as_ref().map_or(0, |error| error.message.len());
        texts.into_iter().flatten().chain(&self.tags).map(String::len).sum::<usize>() + self.spec.len() + error
    }

    /// Returns the texts by which the task is found, in lower case, one a line. None if it has none.
    pub fn search_text(&self) -> Option<String> {
        let texts = [&self.label, &self.dataset, &self.file_name].into_iter().flatten().chain(&self.tags);
        let texts: Vec<_> = texts.map(|text| text.to_lowercase()).collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    /// Returns true if a start of `kind` with `key` repeats the one that made this task.
    pub fn is_repeated_by(&self, kind: &str, key: &IdempotencyKey) -> bool {
        let Some(own) = &self.idempotency_key else { return false };
        let same_input = own.input_sha256.is_none() || own.input_sha256 == key.input_sha256;
        self.kind == kind && own.text == key.text && same_input
    }
}

/// Input of a new task.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Name of the kind.
    pub kind: String,
    /// Input of the task, as JSON of its kind.
    pub spec: String,
    /// Unit of the progress.
    pub unit: Unit,
    /// Total amount of work, if it is known.
    pub total: Option<u64>,
    /// Label chosen by the client, up to 200 characters.
    pub label: Option<String>,
    /// Dataset that the task reads or writes.
    pub dataset: Option<String>,
    /// Name of the file that the task reads.
    pub file_name: Option<String>,
    /// Earliest time at which the task may run. None: immediately.
    pub start_at: Option<Timestamp>,
    /// Key that only one unfinished task may have.
    pub unique_key: Option<String>,
    /// Identifies the start: a second one with the same key and input returns the first one's task.
    pub idempotency_key: Option<IdempotencyKey>,
    /// ID of the upload that the task reads.
    pub upload: Option<String>,
    /// Concurrency key of a short task. None for other tasks.
    pub concurrency_key: Option<String>,
    /// Tags, sorted.
    pub tags: Vec<String>,
    /// Priority, from -100 to 100.
    pub priority: i32,
    /// URL that receives a webhook at each final state.
    pub notify_url: Option<String>,
    /// Subject of the caller.
    pub created_by: String,
}

impl NewTask {
    /// Returns the input of a task of `kind` without optional values.
    pub fn new(kind: impl Into<String>, spec: impl Into<String>, unit: Unit) -> NewTask {
        NewTask {
            kind: kind.into(),
            spec: spec.into(),
            unit,
            total: None,
            label: None,
            dataset: None,
            file_name: None,
            start_at: None,
            unique_key: None,
            idempotency_key: None,
            upload: None,
            concurrency_key: None,
            tags: Vec::new(),
            priority: 0,
            notify_url: None,
            created_by: ANONYMOUS.to_owned(),
        }
    }
}

/// Progress of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Current activity, in a word or two.
    pub phase: String,
    /// Unit of `done` and `total`.
    pub unit: Unit,
    /// Committed amount. Never decreases.
    pub done: u64,
    /// Total amount, at least `done`. None if it is unknown.
    pub total: Option<u64>,
    /// Time spent running.
    pub active: Duration,
    /// Time of this progress.
    pub updated_at: Timestamp,
}

/// Maximum length of the name of a unit, in characters.
const UNIT_NAME: usize = 40;

/// Unit that progress counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Rows of a dataset.
    Rows,
    /// Bytes of a file.
    Bytes,
    /// Decimal digits.
    Digits,
    /// Terms of a series.
    Terms,
    /// Webhooks.
    Deliveries,
    /// Another unit, by its name, such as `PAGES`. Made by `Unit::from`.
    Custom(Cow<'static, str>),
}

impl Unit {
    /// The units that the server's own kinds count.
    pub const KNOWN: [Unit; 5] = [Unit::Rows, Unit::Bytes, Unit::Digits, Unit::Terms, Unit::Deliveries];

    /// The name in the store.
    pub fn as_str(&self) -> &str {
        match self {
            Unit::Rows => "ROWS",
            Unit::Bytes => "BYTES",
            Unit::Digits => "DIGITS",
            Unit::Terms => "TERMS",
            Unit::Deliveries => "DELIVERIES",
            Unit::Custom(name) => name,
        }
    }
}

impl From<&str> for Unit {
    /// The unit of that name, cut to 40 characters.
    fn from(name: &str) -> Unit {
        let known = Unit::KNOWN.into_iter().find(|unit| unit.as_str() == name);
        known.unwrap_or_else(|| Unit::Custom(text::storable(name, UNIT_NAME).into()))
    }
}

/// Result file of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFile {
    /// File name of the download.
    pub name: String,
    /// Size, in bytes.
    pub size: u64,
    /// Media type.
    pub content_type: String,
    /// SHA-256 of the file, lowercase hex.
    pub sha256: String,
}

impl ResultFile {
    /// Makes the name storable.
    pub fn storable(self) -> ResultFile {
        ResultFile { name: text::storable(&self.name, text::FILE_NAME), ..self }
    }
}

/// Expiry of a pause: its time and the action that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseExpiry {
    /// Time of the end.
    pub at: Timestamp,
    /// Action that follows: [`Verb::Resume`] or [`Verb::Terminate`].
    pub then: Verb,
}

/// Entry of a task's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// State before. None for the first entry.
    pub from: Option<State>,
    /// State after.
    pub to: State,
    /// Time of the change.
    pub at: Timestamp,
    /// Author: `client`, `system`, or `node NAME`.
    pub by: String,
    /// Reason, if the author gave one.
    pub reason: Option<String>,
}

/// A task after a change, with the transition if its state as clients see it changed.
#[derive(Clone, Debug)]
pub struct TaskChange {
    /// The task after the change.
    pub task: Arc<Task>,
    /// Entry of its history. None if the state did not change.
    pub transition: Option<StateChange>,
}
