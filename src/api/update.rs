//! The mutation that changes what clients chose for a task.

use async_graphql::{Context, ID, InputObject, Object};

use super::control::PauseExpiryInput;
use super::kinds::TaskObject;
use crate::access::Caller;
use crate::gql::error::{self, Result};
use crate::gql::scalars::DateTime;
use crate::gql::secrets;
use crate::runner::{check_label, check_priority, check_tags};
use crate::state::AppState;
use crate::task::{Task, TaskUpdate};

/// Input of updateTask. A value that is null or left out stays as it is.
#[derive(InputObject)]
pub struct UpdateTaskInput {
    /// Label, up to 200 characters. An empty text removes it.
    label: Option<String>,
    /// Tags, at most 16 of 1 to 64 characters each. They replace the earlier ones. An empty list removes them.
    tags: Option<Vec<String>>,
    /// Priority, from -100 to 100. It counts from the next claim on.
    priority: Option<i32>,
    /// Earliest time of the first run. Only while the task is SCHEDULED and has not run. A time in the past starts it at once.
    start_at: Option<DateTime>,
    /// Time at which a timer fires. Only before it fires. A time in the past fires at once.
    fires_at: Option<DateTime>,
    /// Automatic end of the pause. Only while the task is PAUSED.
    pause_expiry: Option<PauseExpiryInput>,
    /// Rate limit in rows per second. 0 takes the limit away. A running task follows within 100 ms, apart from rows that it is writing:
    /// an import finishes one commit, an export the parts of the file that it has read.
    max_rows_per_second: Option<f64>,
    /// URL that receives a signed webhook at each final state. An empty text removes it. Not once the task is COMPLETED or TERMINATED.
    notify_url: Option<String>,
}

/// The mutation that changes tasks.
#[derive(Default)]
pub struct UpdateMutation;

#[Object]
impl UpdateMutation {
    /// Changes what was chosen at the start of a task: all the given values, or none. The history records who changed what. Refused with
    /// INVALID_STATE and the field if the state does not allow a value.
    async fn update_task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "ID of the task.")] id: ID,
        #[graphql(desc = "The new values.")] input: UpdateTaskInput,
        #[graphql(desc = "Reason, recorded in the history. Up to 1,000 characters.")] reason: Option<String>,
    ) -> Result<TaskObject> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let task = app.task(caller, error::parse_task_id(&id)?).await?;
        let update = input.validate(app, &task)?;
        let request = app.control_request(caller, reason)?;
        app.store.update(caller, task.id, update, request).await.map(TaskObject::from).map_err(error::from_store)
    }
}

impl UpdateTaskInput {
    /// Returns the update, if the values are allowed and the kind of the task has them.
    fn validate(self, app: &AppState, task: &Task) -> Result<TaskUpdate> {
        self.check_kind(app, task)?;
        check_label(self.label.as_deref()).map_err(error::from_input)?;
        Ok(TaskUpdate {
            label: self.label,
            tags: self.tags.map(check_tags).transpose().map_err(error::from_input)?,
            priority: self.priority.map(check_priority).transpose().map_err(error::from_input)?,
            start_at: self.start_at.map(|at| at.0),
            fires_at: self.fires_at.map(|at| at.0),
            expiry: self.pause_expiry.map(|expiry| expiry.validate(app, "pauseExpiry")).transpose()?,
            max_rows_per_second: self.max_rows_per_second.map(check_rate).transpose()?,
            notify_url: self.notify_url.map(|url| check_notify_url(app, url)).transpose()?,
        })
    }

    fn check_kind(&self, app: &AppState, task: &Task) -> Result<()> {
        let limited = app.runner.kind(&task.kind).is_some_and(|kind| kind.has_rate_limit());
        let rules = [
            ("startAt", self.start_at.is_some() && task.is_short(), "A timer has no startAt. Set firesAt."),
            ("firesAt", self.fires_at.is_some() && !task.is_short(), "Only a timer has firesAt. Set startAt."),
            (
                "maxRowsPerSecond",
                self.max_rows_per_second.is_some() && !limited,
                "Only a task that reads or writes rows has a rate limit.",
            ),
        ];
        match rules.into_iter().find(|(_, wrong, _)| *wrong) {
            Some((field, _, text)) => Err(error::bad_input(field, text)),
            None => Ok(()),
        }
    }
}

fn check_notify_url(app: &AppState, url: String) -> Result<String> {
    secrets::refuse_masked_url("notifyUrl", &url)?;
    if !url.is_empty() {
        app.runner.check_notify_url(&url).map_err(error::from_input)?;
    }
    Ok(url)
}

fn check_rate(rate: f64) -> Result<f64> {
    if rate.is_finite() && rate >= 0.0 {
        return Ok(rate);
    }
    Err(error::bad_input("maxRowsPerSecond", format!("maxRowsPerSecond must be 0 or more, got {rate}.")))
}
