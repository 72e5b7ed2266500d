//! The kinds in the API: the type of each, and how each is started.

use std::sync::Arc;

use async_graphql::{ID, Interface, MergedObject};

use super::custom::api::{CustomStart, CustomTask};
use super::export::api::{ExportStart, ExportTask};
use super::import::api::{ImportStart, ImportTask};
use super::pi::api::{PiStart, PiTask};
use super::timer::api::{TimerStart, TimerTask};
use crate::graphql::progress::Progress;
use crate::graphql::scalars::DateTime;
use crate::graphql::task::{ResultFile, StateChange, TaskError, TaskKind, TaskState};
use crate::task::Task;

/// How each kind is started.
#[derive(Default, MergedObject)]
pub struct Starts(ImportStart, ExportStart, PiStart, TimerStart, CustomStart);

/// A long-running task: what can be watched, paused, resumed and terminated.
#[derive(Interface)]
#[graphql(
    name = "Task",
    field(name = "id", ty = "ID", desc = "The task's name for ever."),
    field(name = "kind", ty = "TaskKind", desc = "What it is."),
    field(name = "state", ty = "TaskState", desc = "Where it stands."),
    field(name = "label", ty = "Option<&str>", desc = "The user's own name for it."),
    field(name = "progress", ty = "Progress", desc = "How far it came."),
    field(
        name = "attempt",
        ty = "i32",
        desc = "Times that it was taken up again after a crash or an error. A clean shutdown spends none."
    ),
    field(name = "error", ty = "Option<TaskError>", desc = "Why it failed; while SCHEDULED, why its last try did."),
    field(name = "result", ty = "Option<ResultFile>", desc = "The file that it made, once COMPLETED."),
    field(name = "created_at", ty = "DateTime", desc = "When it was started by the user."),
    field(
        name = "start_at",
        ty = "Option<DateTime>",
        desc = "When it may first run, where that is later than createdAt."
    ),
    field(name = "started_at", ty = "Option<DateTime>", desc = "When it first ran."),
    field(name = "finished_at", ty = "Option<DateTime>", desc = "When it ended."),
    field(name = "paused_at", ty = "Option<DateTime>", desc = "Since when it is PAUSED."),
    field(name = "pause_expires_at", ty = "Option<DateTime>", desc = "When its pause ends by itself."),
    field(
        name = "history",
        ty = "Vec<StateChange>",
        desc = "Changes of state, oldest first, with who asked and why: the newest 500."
    )
)]
pub enum TaskObject {
    /// A CSV file into a dataset.
    Import(ImportTask),
    /// A dataset into a CSV file.
    Export(ExportTask),
    /// Digits of pi into a zip.
    Pi(PiTask),
    /// A POST to an address at a moment.
    Timer(TimerTask),
    /// A kind of the embedding program.
    Custom(CustomTask),
}

impl From<Arc<Task>> for TaskObject {
    fn from(task: Arc<Task>) -> TaskObject {
        match TaskKind::of(&task.kind) {
            TaskKind::Import => TaskObject::Import(task.into()),
            TaskKind::Export => TaskObject::Export(task.into()),
            TaskKind::Pi => TaskObject::Pi(task.into()),
            TaskKind::Timer => TaskObject::Timer(task.into()),
            TaskKind::Custom => TaskObject::Custom(task.into()),
        }
    }
}
