//! The names of the kinds in the API.

use async_graphql::Enum;

macro_rules! define_task_kind {
    ($($(#[$doc:meta])* $module:ident $kind:ident $task:ident $start:ident,)*) => {
        /// Kind of a task.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
        pub enum TaskKind {
            $($(#[$doc])* $kind,)*
            /// Task of a kind registered by the embedding program.
            Custom,
        }

        impl TaskKind {
            /// Returns the kind in the API of the kind that the store calls `name`.
            pub fn of(name: &str) -> TaskKind {
                match name {
                    $(super::$module::NAME => TaskKind::$kind,)*
                    _ => TaskKind::Custom,
                }
            }
        }
    };
}
super::each_kind!(define_task_kind);
