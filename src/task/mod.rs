//! What a task is and what may happen to it. Pure: no time, no disk, no network.
//!
//! Read [`state`] first (the lifecycle table), then [`Task`] and its verbs in [`change`].

pub mod change;
pub mod code;
pub mod id;
pub mod state;
pub mod text;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use change::{ControlRequest, Refusal, Verb};
pub use code::{Code, TaskErrorCode};
pub use id::TaskId;
pub use state::{Event, Illegal, State};

/// One task, as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its name for ever.
    pub id: TaskId,
    /// The kind's name, such as `import`.
    pub kind: String,
    /// Where it stands.
    pub state: State,
    /// Raised by every claim; a run that carries an older one has lost its lease.
    pub epoch: i64,
    /// Raised by every change of the row; a snapshot with a higher one is newer.
    pub version: i64,
    /// The node that works on it.
    pub owner: Option<String>,
    /// The user's own name for it.
    pub label: Option<String>,
    /// What it is to do, as JSON of its kind.
    pub spec: String,
    /// How far it came, as JSON of its kind.
    pub cursor: Option<String>,
    /// How far it came, for people.
    pub progress: Progress,
    /// Times that it was taken up again after a crash or an error.
    pub attempt: u32,
    /// Deaths of its node in a row without progress between them.
    pub crashes: u32,
    /// Errors in a row without progress between them.
    pub failures: u32,
    /// Why it failed, or why its last try did.
    pub error: Option<TaskError>,
    /// The file that it made.
    pub result: Option<ResultFile>,
    /// When it was started by the user.
    pub created_at: Timestamp,
    /// When it may first run, where the user gave that.
    pub start_at: Option<Timestamp>,
    /// When it first ran.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// When the next thing happens to it by itself.
    pub due_at: Option<Timestamp>,
    /// When the next attempt of a short task became due, or will. Deferring the attempt does not move it.
    pub due_since: Option<Timestamp>,
    /// How its pause ends by itself.
    pub expiry: Option<PauseExpiry>,
    /// What only one unfinished task may hold, such as `dataset:people`.
    pub unique_key: Option<String>,
    /// Identifies the start: a second one with the same key and input returns this task.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The upload that it reads.
    pub upload: Option<String>,
    /// What it shares with others of its kind that end in a moment, such as the host that they ask. A task with a lane is
    /// short: it takes no slot, and many are claimed and ended in one write.
    pub concurrency_key: Option<String>,
    /// The span that started it, as a W3C traceparent header.
    pub trace_parent: Option<String>,
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
    /// Bytes of the texts that clients or the task's run choose.
    pub fn text_bytes(&self) -> usize {
        let texts = [&self.label, &self.cursor, &self.unique_key, &self.concurrency_key];
        let error = self.error.as_ref().map_or(0, |error| error.message.len());
        texts.into_iter().flatten().map(String::len).sum::<usize>() + self.spec.len() + error
    }

    /// Returns true if a start of `kind` with `key` repeats the one that made this task.
    pub fn is_repeated_by(&self, kind: &str, key: &IdempotencyKey) -> bool {
        let Some(own) = &self.idempotency_key else { return false };
        let same_input = own.input_sha256.is_none() || own.input_sha256 == key.input_sha256;
        self.kind == kind && own.text == key.text && same_input
    }
}

/// What a new task is made of.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The kind's name.
    pub kind: String,
    /// What it is to do, as JSON of its kind.
    pub spec: String,
    /// What its progress counts.
    pub unit: Unit,
    /// The whole of it, where that is known beforehand.
    pub total: Option<u64>,
    /// The user's own name for it.
    pub label: Option<String>,
    /// When it may first run.
    pub start_at: Option<Timestamp>,
    /// What only one unfinished task may hold.
    pub unique_key: Option<String>,
    /// Identifies the start: a second one with the same key and input returns the first one's task.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The upload that it reads.
    pub upload: Option<String>,
    /// The lane of a short task.
    pub concurrency_key: Option<String>,
}

impl NewTask {
    /// A task of `kind` with nothing else said of it.
    pub fn new(kind: impl Into<String>, spec: impl Into<String>, unit: Unit) -> NewTask {
        NewTask {
            kind: kind.into(),
            spec: spec.into(),
            unit,
            total: None,
            label: None,
            start_at: None,
            unique_key: None,
            idempotency_key: None,
            upload: None,
            concurrency_key: None,
        }
    }
}

/// How far a task came.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// What it is doing, in a word or two.
    pub phase: String,
    /// What `done` and `total` count.
    pub unit: Unit,
    /// What is committed. Never goes back.
    pub done: u64,
    /// The whole, where it is known or can be estimated; at least `done`.
    pub total: Option<u64>,
    /// Time spent running.
    pub active: Duration,
    /// When this was true.
    pub updated_at: Timestamp,
}

/// What progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Unit {
    /// Every unit.
    pub const ALL: [Unit; 5] = [Unit::Rows, Unit::Bytes, Unit::Digits, Unit::Terms, Unit::Deliveries];

    /// The name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Rows => "ROWS",
            Unit::Bytes => "BYTES",
            Unit::Digits => "DIGITS",
            Unit::Terms => "TERMS",
            Unit::Deliveries => "DELIVERIES",
        }
    }
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError {
    /// One of the API's codes, or one of the embedding program.
    pub code: TaskErrorCode,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl TaskError {
    /// The same with a message that every store can hold.
    pub fn storable(self) -> TaskError {
        TaskError { message: text::storable(&self.message, text::MESSAGE), ..self }
    }
}

/// A file that a task made, published whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFile {
    /// The name that a download is saved under.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The media type.
    pub content_type: String,
    /// SHA-256 of the bytes, in lower-case hexadecimal.
    pub sha256: String,
}

impl ResultFile {
    /// The same with a name that every store can hold.
    pub fn storable(self) -> ResultFile {
        ResultFile { name: text::storable(&self.name, text::FILE_NAME), ..self }
    }
}

/// How a pause ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseExpiry {
    /// When.
    pub at: Timestamp,
    /// And how: [`Verb::Resume`] or [`Verb::Terminate`].
    pub then: Verb,
}

/// One line of a task's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The state before; none for the first line.
    pub from: Option<State>,
    /// The state after.
    pub to: State,
    /// When.
    pub at: Timestamp,
    /// Who: `client`, `system`, or `node NAME`.
    pub by: String,
    /// Why, where somebody said so.
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
