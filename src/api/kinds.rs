//! The union of the kinds: the type of each in the API, and how each is started.

use std::sync::Arc;

use async_graphql::{ID, Interface, MergedObject};

use crate::gql::progress::Progress;
use crate::gql::scalars::DateTime;
use crate::gql::task::{ResultFile, StateChange, TaskError, TaskState};
use crate::kinds::api::TaskKind;
use crate::kinds::custom::api::{CustomStart, CustomTask};
use crate::kinds::{self, each_kind};
use crate::task::Task;

macro_rules! define_union {
    ($($(#[$doc:meta])* $module:ident $kind:ident $task:ident $start:ident,)*) => {
        /// How each kind is started.
        #[derive(Default, MergedObject)]
        pub struct Starts($(kinds::$module::api::$start,)* CustomStart);

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
            $($(#[$doc])* $kind(kinds::$module::api::$task),)*
            /// A kind that the embedding program registered.
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
