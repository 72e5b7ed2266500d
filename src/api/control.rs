//! The mutations that pause, resume, terminate and delete tasks.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::filter::TaskFilter;
use super::kinds::TaskObject;
use crate::access::Caller;
use crate::clock::Clock;
use crate::gql::error::{self, Result};
use crate::gql::scalars::{Count, DateTime};
use crate::gql::task::ControlVerb;
use crate::runner::BadInput;
use crate::state::AppState;
use crate::store::{self, LIST_BYTES, Page};
use crate::task::{ControlRequest, PauseExpiry, Refusal, State, Task, TaskId, Verb, text};

/// Maximum time that a response waits for the task to stop, in seconds.
const MAX_WAIT: f64 = 30.0;

/// Tasks that a bulk change reads at once, and the maximum that its summary contains.
const BULK_LIMIT: u32 = 500;

/// Automatic end of a pause.
#[derive(InputObject)]
pub struct PauseExpiryInput {
    /// Time at which the pause ends. Must be in the future. Restarts of the server do not change it.
    at: DateTime,
    /// Action at that time: RESUME or TERMINATE.
    then: ControlVerb,
}

/// Outcome of controlTasks.
#[derive(SimpleObject)]
pub struct ControlSummary {
    /// Number of tasks that match the filter.
    matched: Count,
    /// Number of tasks whose state changed. Tasks in states that do not allow the verb are left unchanged.
    changed: Count,
    /// The changed tasks, at most 500 and at most 4 MiB of their inputs.
    tasks: Vec<TaskObject>,
}

/// The mutations that control tasks.
#[derive(Default)]
pub struct ControlMutation;

#[Object]
impl ControlMutation {
    /// Pauses a task at its next checkpoint. Returns the task when it is PAUSED, or after waitSeconds as PAUSING. A task that
    /// is already PAUSED is returned unchanged, with the new expiry if one is given.
    async fn pause(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "ID of the task.")] id: ID,
        #[graphql(desc = "Reason, recorded in the history. Up to 1,000 characters.")] reason: Option<String>,
        #[graphql(
            desc = "Automatic end of the pause. Default: by the server's settings max_pause_seconds and pause_expiry."
        )]
        expiry: Option<PauseExpiryInput>,
        #[graphql(
            desc = "Maximum time that the response waits for the confirmation, in seconds, from 0 to 30.",
            default = 1.0
        )]
        wait_seconds: f64,
    ) -> Result<TaskObject> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let expiry = expiry.map(|expiry| expiry.validate(app, "expiry")).transpose()?;
        let request = ControlRequest {
            expiry,
            default_expiry: app.runner.default_expiry(),
            ..app.control_request(caller, reason)?
        };
        app.pause_and_wait(caller, error::parse_task_id(&id)?, request, parse_wait(wait_seconds)?)
            .await
            .map(TaskObject::from)
    }

    /// Resumes a PAUSED, PAUSING or FAILED task from its last checkpoint. A SCHEDULED, QUEUED or RUNNING task is returned
    /// unchanged.
    async fn resume(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "ID of the task.")] id: ID,
        #[graphql(desc = "Reason, recorded in the history. Up to 1,000 characters.")] reason: Option<String>,
        #[graphql(
            desc = "Maximum time that the response waits for the confirmation, in seconds, from 0 to 30.",
            default = 1.0
        )]
        wait_seconds: f64,
    ) -> Result<TaskObject> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let request = app.control_request(caller, reason)?;
        app.control_and_wait(caller, error::parse_task_id(&id)?, Verb::Resume, request, parse_wait(wait_seconds)?)
            .await
            .map(TaskObject::from)
    }

    /// Stops a task permanently and rolls back everything it wrote. Returns the task when it is TERMINATED, or after
    /// waitSeconds as TERMINATING. A TERMINATING or TERMINATED task cannot be paused or resumed.
    /// It becomes COMPLETED if its result was published before.
    async fn terminate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "ID of the task.")] id: ID,
        #[graphql(desc = "Reason, recorded in the history. Up to 1,000 characters.")] reason: Option<String>,
        #[graphql(
            desc = "Maximum time that the response waits for the confirmation, in seconds, from 0 to 30.",
            default = 1.0
        )]
        wait_seconds: f64,
    ) -> Result<TaskObject> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let request = app.control_request(caller, reason)?;
        app.control_and_wait(caller, error::parse_task_id(&id)?, Verb::Terminate, request, parse_wait(wait_seconds)?)
            .await
            .map(TaskObject::from)
    }

    /// Applies a verb to every matching task. Returns without waiting for running tasks to stop.
    async fn control_tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Verb to apply.")] verb: ControlVerb,
        #[graphql(desc = "Tasks to apply it to. An empty filter matches all tasks.")] filter: TaskFilter,
        #[graphql(desc = "Reason, recorded in the history of each task. Up to 1,000 characters.")] reason: Option<
            String,
        >,
        #[graphql(desc = "Only count the matching tasks; change nothing.", default = false)] dry_run: bool,
    ) -> Result<ControlSummary> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let (filter, request) = (filter.parse(app, caller).await?, app.control_request(caller, reason)?);
        let matched = Count(app.store.count_all(caller, &filter).await.map_err(error::from_store)?);
        if dry_run {
            return Ok(ControlSummary { matched, changed: Count(0), tasks: Vec::new() });
        }
        let request = ControlRequest { default_expiry: app.runner.default_expiry(), ..request };
        let (changed, tasks) =
            app.control_all(caller, &filter, verb.into(), &request).await.map_err(error::from_store)?;
        Ok(ControlSummary {
            matched,
            changed: Count(changed),
            tasks: tasks.into_iter().map(TaskObject::from).collect(),
        })
    }

    /// Deletes a finished task (COMPLETED, FAILED or TERMINATED) and its files. A dataset that it filled is kept. Returns the
    /// ID.
    async fn delete_task(&self, ctx: &Context<'_>, #[graphql(desc = "ID of the task.")] id: ID) -> Result<ID> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let task = app.task(caller, error::parse_task_id(&id)?).await?;
        if !task.state.is_final() || !app.runner.delete(caller, &task).await.map_err(error::from_store)? {
            let state = app.task(caller, task.id).await?.state;
            let text = format!("Cannot delete task {}: it is {state}. Terminate it first.", task.id);
            return Err(error::invalid_state(text, state));
        }
        Ok(id)
    }
}

impl PauseExpiryInput {
    /// Returns the expiry, if it is allowed. `field` is its name in the input.
    pub(super) fn validate(self, app: &AppState, field: &str) -> Result<PauseExpiry> {
        if self.then == ControlVerb::Pause {
            let field = format!("{field}.then");
            return Err(error::bad_input(&field, format!("{field} must be RESUME or TERMINATE, got PAUSE.")));
        }
        if self.at.0 <= app.clock.now() {
            let field = format!("{field}.at");
            return Err(error::bad_input(&field, format!("{field} must be in the future, got {}.", self.at.0)));
        }
        Ok(PauseExpiry { at: self.at.0, then: self.then.into() })
    }
}

impl AppState {
    /// Makes the control request of a client.
    pub(super) fn control_request(&self, caller: &Caller, reason: Option<String>) -> Result<ControlRequest> {
        BadInput::check_text("reason", reason.as_deref(), text::REASON).map_err(error::from_input)?;
        Ok(ControlRequest { reason, ..caller.request(self.clock.now()) })
    }

    pub(super) async fn task(&self, caller: &Caller, id: TaskId) -> Result<Arc<Task>> {
        let task = self.store.get(caller, id).await.map_err(error::from_store)?;
        task.ok_or_else(|| error::task_not_found(id))
    }

    /// Pauses a task. A running task stops before the request is on disk, so that PAUSED needs only one sync.
    async fn pause_and_wait(
        &self,
        caller: &Caller,
        id: TaskId,
        request: ControlRequest,
        wait: Duration,
    ) -> Result<Arc<Task>> {
        self.begin_stop(id, Verb::Pause);
        let pausing = self.store.pause_running(caller, id, request.clone()).await;
        self.end_stop(id, pausing.as_ref().is_ok_and(Option::is_some));
        let Some(pausing) = pausing.map_err(error::from_store)? else {
            return self.control_and_wait(caller, id, Verb::Pause, request, wait).await;
        };
        let task = self.wait_for_stop(caller, pausing, wait).await?;
        if task.state == State::Pausing {
            self.store.sync_task(id).await.map_err(error::from_store)?;
        }
        Ok(task)
    }

    /// Applies a verb, and waits for the task to stop.
    async fn control_and_wait(
        &self,
        caller: &Caller,
        id: TaskId,
        verb: Verb,
        request: ControlRequest,
        wait: Duration,
    ) -> Result<Arc<Task>> {
        match self.request_verb(caller, id, verb, request.clone()).await {
            Ok(task) if verb == Verb::Resume => Ok(task),
            Ok(task) => self.wait_for_stop(caller, task, wait).await,
            // The task is publishing its result. The refusal names its final state, which it reaches in a moment.
            Err(store::Error::Refused(Refusal::Illegal(illegal))) if illegal.state == State::Finishing => {
                let task = self.task(caller, id).await?;
                self.wait_until(caller, task, wait, |task| task.state != State::Finishing).await?;
                self.request_verb(caller, id, verb, request).await.map_err(error::from_store)
            }
            Err(error) => Err(error::from_store(error)),
        }
    }

    async fn request_verb(
        &self,
        caller: &Caller,
        id: TaskId,
        verb: Verb,
        request: ControlRequest,
    ) -> std::result::Result<Arc<Task>, store::Error> {
        self.begin_stop(id, verb);
        let task = self.store.control(caller, id, verb, request).await;
        self.end_stop(id, verb == Verb::Resume || task.as_ref().is_ok_and(|task| is_stopping(task)));
        task
    }

    /// Begins to measure the time from the request of a pause or termination until the task has stopped.
    fn begin_stop(&self, id: TaskId, verb: Verb) {
        let stops = &self.metrics.tasks.stops;
        match verb {
            Verb::Pause => stops.request(id, State::Paused, Clock::monotonic()),
            Verb::Terminate => stops.request(id, State::Terminated, Clock::monotonic()),
            Verb::Resume => {}
        }
    }

    /// Ends the measurement of a request, unless the task is `stopping`. A task that stopped at once is measured already. A refused request, or
    /// a pause of a paused task, never will be.
    fn end_stop(&self, id: TaskId, stopping: bool) {
        if !stopping {
            self.metrics.tasks.stops.withdraw(id);
        }
    }

    /// Waits until the task has stopped, at most `wait`. Returns its current snapshot.
    async fn wait_for_stop(&self, caller: &Caller, task: Arc<Task>, wait: Duration) -> Result<Arc<Task>> {
        self.wait_until(caller, task, wait, |task| !is_stopping(task)).await
    }

    /// Waits until `reached`, at most `wait`. Returns the task's current snapshot.
    async fn wait_until(
        &self,
        caller: &Caller,
        task: Arc<Task>,
        wait: Duration,
        reached: impl Fn(&Task) -> bool + Send,
    ) -> Result<Arc<Task>> {
        let mut changes = self.bus.watch(&task);
        let newest = self.task(caller, task.id).await?;
        if reached(&newest) {
            return Ok(newest);
        }
        // Reached, timed out, or the task was deleted: its current snapshot is the response in each case.
        let _ = tokio::time::timeout(wait, changes.wait_for(|task| reached(task))).await.map(|task| task.is_ok());
        self.task(caller, task.id).await
    }

    async fn control_all(
        &self,
        caller: &Caller,
        filter: &store::Filter,
        verb: Verb,
        request: &ControlRequest,
    ) -> std::result::Result<(u64, Vec<Arc<Task>>), store::Error> {
        let (mut changed, mut tasks, mut bytes) = (0, Vec::new(), 0);
        let mut page = Page { limit: BULK_LIMIT, ..Page::default() };
        loop {
            let (found, more) = self.store.list(caller, filter, page).await?;
            for task in &found {
                match self.request_verb(caller, task.id, verb, request.clone()).await {
                    Ok(now) if now.state != task.state => {
                        changed += 1;
                        bytes += now.text_bytes();
                        if tasks.is_empty() || (tasks.len() < BULK_LIMIT as usize && bytes <= LIST_BYTES) {
                            tasks.push(now);
                        }
                    }
                    Ok(_) | Err(store::Error::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            match found.last() {
                Some(last) if more || found.len() == BULK_LIMIT as usize => page.after = Some(last.id.into()),
                _ => return Ok((changed, tasks)),
            }
        }
    }
}

/// Checks the time that a response may wait.
fn parse_wait(seconds: f64) -> Result<Duration> {
    if (0.0..=MAX_WAIT).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(error::bad_input("waitSeconds", format!("waitSeconds must be from 0 to {MAX_WAIT}, got {seconds}.")))
}

/// Returns true if a stop was requested and the task has not stopped yet.
fn is_stopping(task: &Task) -> bool {
    matches!(task.state, State::Pausing | State::Terminating)
}
