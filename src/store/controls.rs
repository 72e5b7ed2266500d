//! Verbs that change one task: requests of clients, and reports of its run.

use std::sync::Arc;

use super::change::{self, check_fence};
use super::write::{Durability, Write};
use super::{Error, FenceToken, Store};
use crate::access::Caller;
use crate::task::{ControlRequest, Progress, State, Task, TaskId, TaskUpdate, Verb};

impl Store {
    /// Applies a control request to a task.
    #[tracing::instrument(target = "otlp.store", name = "store.control", skip_all, fields(%caller))]
    pub async fn control(
        &self,
        caller: &Caller,
        id: TaskId,
        verb: Verb,
        request: ControlRequest,
    ) -> Result<Arc<Task>, Error> {
        self.change(id, Durability::Immediate, move |task| task.control(verb, &request)).await
    }

    /// Changes what the client chose for a task: all of it, or nothing.
    #[tracing::instrument(target = "otlp.store", name = "store.update", skip_all, fields(%caller))]
    pub async fn update(
        &self,
        caller: &Caller,
        id: TaskId,
        update: TaskUpdate,
        request: ControlRequest,
    ) -> Result<Arc<Task>, Error> {
        self.change(id, Durability::Immediate, move |task| task.update(&update, &request)).await
    }

    /// Requests a pause of a running task. The run is notified before the request is on disk: the end of the run writes it.
    /// A caller that does not wait for that end calls [`Store::sync_task`]. None, without a change, if the task does not run.
    #[tracing::instrument(target = "otlp.store", name = "store.pause_running", skip_all, fields(%caller))]
    pub async fn pause_running(
        &self,
        caller: &Caller,
        id: TaskId,
        request: ControlRequest,
    ) -> Result<Option<Arc<Task>>, Error> {
        let pause = move |task: &mut Task| match task.state {
            State::Running | State::Pausing => task.control(Verb::Pause, &request),
            _ => Ok(None),
        };
        let write = Write::transaction((id, pause), change::change_one);
        let task = self.commit(Write { durability: Durability::Deferred, ..write }).await??;
        Ok(Some(task).filter(|task| task.state == State::Pausing))
    }

    /// Writes the earlier changes of the task to disk, by a new version of it.
    #[tracing::instrument(target = "otlp.store", name = "store.sync_task", skip_all)]
    pub async fn sync_task(&self, id: TaskId) -> Result<(), Error> {
        self.commit(Write::transaction(id, change::sync)).await
    }

    /// Writes the progress of a run.
    ///
    /// # Errors
    /// [`crate::task::Refusal::LeaseLost`] if the token is outdated.
    #[tracing::instrument(target = "otlp.store", name = "store.report", skip_all)]
    pub async fn report(
        &self,
        token: FenceToken,
        cursor: Option<String>,
        progress: Progress,
        durability: Durability,
    ) -> Result<Arc<Task>, Error> {
        let report = move |task: &mut Task| {
            check_fence(task, token)?;
            task.report(cursor.clone(), progress.clone());
            Ok(None)
        };
        self.change(token.id, durability, report).await
    }
}
