//! The fields that the input of every start has.

use async_graphql::InputObject;
use jiff::Timestamp;

use serde_json::Value;

use super::error::{self, Result};
use super::scalars::Json;
use super::secrets;
use crate::runner::StartOptions;
use crate::task::{IdempotencyKey, Task};

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
    /// URL that receives a signed webhook at each final state of the task (COMPLETED, FAILED, TERMINATED), at least once, with the address
    /// rules, attempts and signature of timers. Default: none.
    pub notify_url: Option<String>,
    /// Idempotency key, up to 200 characters. A repeated call with the same key and input returns the first call's task. The
    /// same key with another input or another kind of task is refused with CONFLICT and the ID of that task.
    pub idempotency_key: Option<String>,
}

/// Returns the fields that would start `task` again, as JSON, with `own`: those of its kind. Null values are left out.
///
/// # Errors
/// INTERNAL if `own` is no object.
pub fn spec_of(task: &Task, mut own: Value) -> Result<Json> {
    let fields = own.as_object_mut().ok_or_else(|| error::internal("the fields of a kind are no object"))?;
    fields.retain(|_, value| !value.is_null());
    let common = [
        ("label", task.label.clone().map(Value::from)),
        ("tags", (!task.tags.is_empty()).then(|| task.tags.clone().into())),
        ("priority", Some(task.priority.into())),
        ("notifyUrl", task.notify_url.as_deref().map(|url| secrets::masked_url(url).into())),
    ];
    fields.extend(common.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(Json(own))
}

/// Returns the field startAt of a task that may be started in the future, as JSON.
pub fn start_at_of(task: &Task) -> Value {
    task.start_at.map(|at| at.to_string()).into()
}

impl StartFields {
    /// Returns the options of the start. `key` is the idempotency key with its input.
    ///
    /// # Errors
    /// BAD_USER_INPUT with the field that is not allowed.
    pub fn options(self, start_at: Option<Timestamp>, key: Option<IdempotencyKey>) -> Result<StartOptions> {
        let options = StartOptions::new(self.label, start_at, key);
        let options = options.and_then(|options| options.with_order(self.tags.unwrap_or_default(), self.priority));
        self.notify_url.as_deref().map_or(Ok(()), |url| secrets::refuse_masked_url("notifyUrl", url))?;
        Ok(options.map_err(error::from_input)?.with_notify_url(self.notify_url))
    }
}
