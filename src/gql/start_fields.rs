//! The fields that the input of every start has.

use async_graphql::InputObject;
use jiff::Timestamp;

use super::error::{self, Result};
use crate::runner::StartOptions;
use crate::task::IdempotencyKey;

/// The fields that the input of every start has.
#[derive(InputObject)]
pub struct StartFields {
    /// Label, up to 200 characters. Default: none.
    pub label: Option<String>,
    /// Tags, at most 16 of 1 to 64 characters each. Default: none.
    pub tags: Option<Vec<String>>,
    /// Priority, from -100 to 100. A node with a free slot claims QUEUED tasks of higher priority first, and of the same priority
    /// the oldest. Timers are sent at their time whatever their priority.
    #[graphql(default = 0)]
    pub priority: i32,
    /// Idempotency key, up to 200 characters. A repeated call with the same key and input returns the first call's task. The
    /// same key with another input or another kind of task is refused with CONFLICT and the ID of that task.
    pub idempotency_key: Option<String>,
}

impl StartFields {
    /// Returns the options of the start. `key` is the idempotency key with its input.
    ///
    /// # Errors
    /// BAD_USER_INPUT with the field that is not allowed.
    pub fn options(self, start_at: Option<Timestamp>, key: Option<IdempotencyKey>) -> Result<StartOptions> {
        let options = StartOptions::new(self.label, start_at, key);
        let options = options.and_then(|options| options.with_order(self.tags.unwrap_or_default(), self.priority));
        options.map_err(error::from_input)
    }
}
