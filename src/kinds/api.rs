//! Common parts of the API of the kinds: their names, and the rate limit of imports and exports.

use async_graphql::Enum;

use crate::gql::error::{self, Result};

/// Checks a limit of rows per second.
///
/// # Errors
/// BAD_USER_INPUT if the rate is 0 or less, infinite or not a number.
pub fn check_rate(rate: Option<f64>) -> Result<()> {
    match rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        None => Ok(()),
        Some(rate) => {
            let text = format!("maxRowsPerSecond must be more than 0, got {rate}.");
            Err(error::bad_input("maxRowsPerSecond", text))
        }
    }
}

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
