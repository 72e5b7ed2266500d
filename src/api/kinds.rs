//! The union of the kinds: the type of each in the API, and how each is started.

use std::sync::Arc;

use async_graphql::{ID, Interface, MergedObject};

use super::limits::NodeLimits;
use crate::gql::progress::ProgressObject;
use crate::gql::scalars::{Count, DateTime, Json};
use crate::gql::task::{ControlVerb, ResultFileObject, StateChangeObject, TaskErrorObject, TaskState};
use crate::kinds::api::TaskKind;
use crate::kinds::custom::api::CustomStart;
pub(super) use crate::kinds::custom::api::CustomTask;
use crate::kinds::pi::api::PiLimits;
use crate::kinds::{self, each_kind};
use crate::state::AppState;
use crate::task::Task;

/// Limits of the server.
#[derive(MergedObject)]
pub struct Limits(PiLimits, NodeLimits);

impl Limits {
    /// Returns the limits of this node.
    pub fn new(app: &AppState) -> Limits {
        Limits(PiLimits::new(app), NodeLimits::new(app))
    }
}

macro_rules! define_union {
    ($($(#[$doc:meta])* $module:ident $kind:ident $task:ident $start:ident,)*) => {
        /// The mutations that start tasks, one for each kind.
        #[derive(Default, MergedObject)]
        pub struct Starts($(kinds::$module::api::$start,)* CustomStart);

        /// Long-running task. It can be watched, paused, resumed and terminated.
        #[derive(Interface)]
        #[graphql(
            name = "Task",
            field(name = "id", ty = "ID", desc = "Unique ID of the task. Never reused."),
            field(name = "kind", ty = "TaskKind", desc = "Kind of task."),
            field(name = "state", ty = "TaskState", desc = "Current lifecycle state."),
            field(name = "label", ty = "Option<&str>", desc = "Label chosen by the client, up to 200 characters. Null if it chose none."),
            field(
                name = "version",
                ty = "Count",
                desc = "Increases with each change of the task, also of its progress. A snapshot with a higher version is newer."
            ),
            field(
                name = "priority",
                ty = "i32",
                desc = "Priority, from -100 to 100. QUEUED tasks of higher priority are claimed first."
            ),
            field(name = "tags", ty = "&[String]", desc = "Tags, sorted. At most 16."),
            field(
                name = "created_by",
                ty = "&str",
                desc = "Subject of the caller that started the task. `anonymous` if it has not identified itself."
            ),
            field(
                name = "spec",
                ty = "Json",
                desc = "Work that the task was started for, in the shape of the input of its start, with the values that updateTask changed since. Passed to that start, edited or not, it starts the same again. Secrets are shown as *** (passwords in URLs, values of headers such as Authorization), which a start refuses: replace them. The idempotency key is left out, a delay of a timer is shown as its time, and an uploaded file as its uploadId. Of a CustomTask it is the field spec of the input of startCustom."
            ),
            field(
                name = "max_rows_per_second",
                ty = "Option<f64>",
                desc = "Limit in force, in rows per second. Null for no limit, and for kinds that have none. updateTask changes it."
            ),
            field(
                name = "notify_url",
                ty = "Option<String>",
                desc = "URL that receives a signed webhook at each final state. Its password is shown as ***. Null if there is none."
            ),
            field(
                name = "allowed_verbs",
                ty = "Vec<ControlVerb>",
                desc = "Verbs that change the task in its current state. The others are refused, or return it as it is."
            ),
            field(
                name = "running_on",
                ty = "Option<String>",
                desc = "Name of the server node that runs the task. Null if none does."
            ),
            field(
                name = "queue_position",
                ty = "Option<Count>",
                desc = "While QUEUED, number of tasks that will be claimed before this one. Null in other states, for timers, and if there are more than 10,000."
            ),
            field(name = "progress", ty = "ProgressObject", desc = "Progress as of the last commit."),
            field(
                name = "attempt",
                ty = "i32",
                desc = "Number of restarts after a crash or an error. A clean shutdown does not count."
            ),
            field(name = "error", ty = "Option<TaskErrorObject>", desc = "Error of the last attempt. Set when FAILED, and while a retry is SCHEDULED."),
            field(name = "result", ty = "Option<ResultFileObject>", desc = "File that the task produced. Null before COMPLETED, and for kinds that produce none."),
            field(name = "created_at", ty = "DateTime", desc = "Time at which the task was created."),
            field(
                name = "start_at",
                ty = "Option<DateTime>",
                desc = "Earliest time of the first run. Null if it is not later than createdAt."
            ),
            field(name = "started_at", ty = "Option<DateTime>", desc = "Time of the first run. Null before it."),
            field(name = "finished_at", ty = "Option<DateTime>", desc = "Time at which the task became COMPLETED, FAILED or TERMINATED. Null before that."),
            field(name = "paused_at", ty = "Option<DateTime>", desc = "Time at which the task became PAUSED. Null in every other state."),
            field(name = "pause_expires_at", ty = "Option<DateTime>", desc = "Time at which the server ends the pause. Null if it has no expiry, or the task is not paused."),
            field(
                name = "history",
                ty = "Vec<StateChangeObject>",
                desc = "The newest 500 state changes, oldest first, each with its author and reason."
            )
        )]
        pub enum TaskObject {
            $($(#[$doc])* $kind(kinds::$module::api::$task),)*
            /// A kind registered by the embedding program.
            Custom(CustomTask),
        }

        impl From<Arc<Task>> for TaskObject {
            fn from(task: Arc<Task>) -> TaskObject {
                match TaskKind::of(&task.kind) {
                    $(TaskKind::$kind => TaskObject::$kind(task.into()),)*
                    TaskKind::Custom => TaskObject::Custom(task.into()),
                }
            }
        }
    };
}
each_kind!(define_union);
