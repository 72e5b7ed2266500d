//! The mutations that pause, resume, terminate and delete tasks.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::filter::TaskFilter;
use super::kinds::TaskObject;
use crate::clock::Clock;
use crate::gql::error::{self, Result};
use crate::gql::scalars::{Count, DateTime};
use crate::gql::services::Services;
use crate::gql::task::ControlVerb;
use crate::runner::BadInput;
use crate::store::{self, LIST_BYTES, Page};
use crate::task::{ControlRequest, PauseExpiry, Refusal, State, Task, TaskId, Verb, text};

/// How long an answer waits for the stop to be confirmed.
const CONFIRM: Duration = Duration::from_secs(1);

/// Tasks of a bulk change that are read at once, and that its summary names.
const BULK: u32 = 500;

/// Automatic end of a pause.
#[derive(InputObject)]
pub struct PauseExpiryInput {
    /// Time at which the pause ends. Must be in the future. Restarts of the server do not change it.
    at: DateTime,
    /// What happens then: RESUME or TERMINATE.
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
pub struct Control;

#[Object]
impl Control {
    /// Pauses a task at its next checkpoint. Returns the task when it is PAUSED, or after one second as PAUSING. A task that
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
    ) -> Result<TaskObject> {
        let services = ctx.data_unchecked::<Services>();
        let expiry = expiry.map(|expiry| expiry.read(services)).transpose()?;
        let ask = ControlRequest { expiry, default_expiry: services.runner.default_expiry(), ..services.ask(reason)? };
        services.pause(error::parse_task_id(&id)?, ask).await.map(TaskObject::from)
    }

    /// Resumes a PAUSED, PAUSING or FAILED task from its last checkpoint. A SCHEDULED, QUEUED or RUNNING task is returned
    /// unchanged.
    async fn resume(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "ID of the task.")] id: ID,
        #[graphql(desc = "Reason, recorded in the history. Up to 1,000 characters.")] reason: Option<String>,
    ) -> Result<TaskObject> {
        let services = ctx.data_unchecked::<Services>();
        let ask = services.ask(reason)?;
        services.control(error::parse_task_id(&id)?, Verb::Resume, ask).await.map(TaskObject::from)
    }

    /// Stops a task permanently and rolls back everything it wrote. Returns the task when it is TERMINATED, or after one
    /// second as TERMINATING. A TERMINATING or TERMINATED task cannot be paused or resumed.
    async fn terminate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "ID of the task.")] id: ID,
        #[graphql(desc = "Reason, recorded in the history. Up to 1,000 characters.")] reason: Option<String>,
    ) -> Result<TaskObject> {
        let services = ctx.data_unchecked::<Services>();
        let ask = services.ask(reason)?;
        services.control(error::parse_task_id(&id)?, Verb::Terminate, ask).await.map(TaskObject::from)
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
        let services = ctx.data_unchecked::<Services>();
        let (filter, ask) = (filter.parse(services)?, services.ask(reason)?);
        let matched = Count(services.store.count(&filter).await.map_err(error::from_store)?);
        if dry_run {
            return Ok(ControlSummary { matched, changed: Count(0), tasks: Vec::new() });
        }
        let ask = ControlRequest { default_expiry: services.runner.default_expiry(), ..ask };
        let (changed, tasks) = services.control_all(&filter, verb.into(), &ask).await.map_err(error::from_store)?;
        Ok(ControlSummary {
            matched,
            changed: Count(changed),
            tasks: tasks.into_iter().map(TaskObject::from).collect(),
        })
    }

    /// Deletes a finished task (COMPLETED, FAILED or TERMINATED) and its files. A dataset that it filled is kept. Returns the
    /// ID.
    async fn delete_task(&self, ctx: &Context<'_>, #[graphql(desc = "ID of the task.")] id: ID) -> Result<ID> {
        let services = ctx.data_unchecked::<Services>();
        let task = services.read(error::parse_task_id(&id)?).await?;
        if !task.state.is_final() || !services.runner.delete(&task).await.map_err(error::from_store)? {
            let state = services.read(task.id).await?.state;
            let text = format!("Cannot delete task {}: it is {state}. Terminate it first.", task.id);
            return Err(error::invalid_state(text, state));
        }
        Ok(id)
    }
}

impl PauseExpiryInput {
    fn read(self, services: &Services) -> Result<PauseExpiry> {
        if self.then == ControlVerb::Pause {
            return Err(error::bad_input("expiry.then", "expiry.then must be RESUME or TERMINATE."));
        }
        if self.at.0 <= services.clock.now() {
            return Err(error::bad_input("expiry.at", format!("expiry.at must be in the future, got {}.", self.at.0)));
        }
        Ok(PauseExpiry { at: self.at.0, then: self.then.into() })
    }
}

impl Services {
    /// A request of a client.
    fn ask(&self, reason: Option<String>) -> Result<ControlRequest> {
        BadInput::check_text("reason", reason.as_deref(), text::REASON).map_err(error::from_input)?;
        Ok(ControlRequest { reason, ..ControlRequest::by("client", self.clock.now()) })
    }

    async fn read(&self, id: TaskId) -> Result<Arc<Task>> {
        let task = self.store.get(id).await.map_err(error::from_store)?;
        task.ok_or_else(|| error::task_not_found(id))
    }

    /// A run that pauses is told of it before that is on disk: the disk is waited for once, when the run has let go.
    async fn pause(&self, id: TaskId, ask: ControlRequest) -> Result<Arc<Task>> {
        let request = self.store.pause_running(id, ask.clone());
        let Some(pausing) = self.measured(id, Verb::Pause, request).await.map_err(error::from_store)? else {
            return self.control(id, Verb::Pause, ask).await;
        };
        let task = self.confirmed(pausing).await?;
        if task.state == State::Pausing {
            self.store.sync_task(id).await.map_err(error::from_store)?;
        }
        Ok(task)
    }

    /// Asks, and waits for the stop to be confirmed.
    async fn control(&self, id: TaskId, verb: Verb, ask: ControlRequest) -> Result<Arc<Task>> {
        match self.request(id, verb, ask.clone()).await {
            Ok(task) if verb == Verb::Resume => Ok(task),
            Ok(task) => self.confirmed(task).await,
            // The task is publishing what it made: in a moment it is over, and the answer is that of its end.
            Err(store::Error::Refused(Refusal::Illegal(illegal))) if illegal.state == State::Finishing => {
                let task = self.read(id).await?;
                self.until(task, |task| task.state != State::Finishing).await?;
                self.request(id, verb, ask).await.map_err(error::from_store)
            }
            Err(error) => Err(error::from_store(error)),
        }
    }

    async fn request(
        &self,
        id: TaskId,
        verb: Verb,
        ask: ControlRequest,
    ) -> std::result::Result<Arc<Task>, store::Error> {
        let request = async { self.store.control(id, verb, ask).await.map(Some) };
        self.measured(id, verb, request).await?.ok_or_else(|| store::Error::not_found(id))
    }

    /// Measures how long a pause or a termination takes from the request until it is confirmed.
    async fn measured(
        &self,
        id: TaskId,
        verb: Verb,
        request: impl Future<Output = std::result::Result<Option<Arc<Task>>, store::Error>> + Send,
    ) -> std::result::Result<Option<Arc<Task>>, store::Error> {
        match verb {
            Verb::Pause => self.stops.request(id, State::Paused, Clock::monotonic()),
            Verb::Terminate => self.stops.request(id, State::Terminated, Clock::monotonic()),
            Verb::Resume => return request.await,
        }
        let answer = request.await;
        // What is confirmed at once is measured already; a refusal and a pause of a paused task never will be.
        if !answer.as_ref().is_ok_and(|task| task.as_ref().is_some_and(|task| is_stopping(task))) {
            self.stops.withdraw(id);
        }
        answer
    }

    /// The task once its stop is confirmed, or as it is after a second.
    async fn confirmed(&self, task: Arc<Task>) -> Result<Arc<Task>> {
        self.until(task, |task| !is_stopping(task)).await
    }

    /// The task once `reached`, or as it is after a second.
    async fn until(&self, task: Arc<Task>, reached: impl Fn(&Task) -> bool + Send) -> Result<Arc<Task>> {
        let mut changes = self.bus.watch(&task);
        let newest = self.read(task.id).await?;
        if reached(&newest) {
            return Ok(newest);
        }
        // Reached, late, or the last word of the task: what it is now is the answer in each case.
        let _ = tokio::time::timeout(CONFIRM, changes.wait_for(|task| reached(task))).await.map(|task| task.is_ok());
        self.read(task.id).await
    }

    async fn control_all(
        &self,
        filter: &store::Filter,
        verb: Verb,
        ask: &ControlRequest,
    ) -> std::result::Result<(u64, Vec<Arc<Task>>), store::Error> {
        let (mut changed, mut tasks, mut bytes) = (0, Vec::new(), 0);
        let mut page = Page { limit: BULK, ..Page::default() };
        loop {
            let (found, more) = self.store.list(filter, page).await?;
            for task in &found {
                match self.request(task.id, verb, ask.clone()).await {
                    Ok(now) if now.state != task.state => {
                        changed += 1;
                        bytes += now.text_bytes();
                        if tasks.is_empty() || (tasks.len() < BULK as usize && bytes <= LIST_BYTES) {
                            tasks.push(now);
                        }
                    }
                    Ok(_) | Err(store::Error::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            match found.last() {
                Some(last) if more || found.len() == BULK as usize => page.after = Some(last.id),
                _ => return Ok((changed, tasks)),
            }
        }
    }
}

/// Its stop is requested and not yet confirmed.
fn is_stopping(task: &Task) -> bool {
    matches!(task.state, State::Pausing | State::Terminating)
}
