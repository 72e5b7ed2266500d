//! Starts of tasks, with the errors that clients get.

use std::sync::Arc;

use super::error::{self, Result};
use crate::access::Caller;
use crate::runner::{RefusedStarts, StartOptions};
use crate::state::AppState;
use crate::store::Started;
use crate::task::Task;

impl AppState {
    /// Starts a task.
    pub async fn start(
        &self,
        caller: &Caller,
        kind: &str,
        spec: serde_json::Value,
        options: StartOptions,
    ) -> Result<Arc<Task>> {
        let started = self.runner.start_task(caller, kind, spec, options).await.map_err(error::from_start)?;
        Ok(started.into_task())
    }

    /// Starts all tasks in one commit, or none. An error names the refused one as `inputs.N`.
    pub async fn start_all(
        &self,
        caller: &Caller,
        kind: &str,
        starts: Vec<(serde_json::Value, StartOptions)>,
    ) -> Result<Vec<Arc<Task>>> {
        let started =
            self.runner.start_tasks(caller, kind, starts).await.map_err(|RefusedStarts { place: index, error }| {
                let error = error::from_start(error);
                index.map_or(error.clone(), |index| error::at_input(index, error))
            })?;
        Ok(started.into_iter().map(Started::into_task).collect())
    }

    /// Returns the task that an earlier start of this kind with the same idempotency key and input created.
    pub async fn repeated(&self, caller: &Caller, kind: &str, options: &StartOptions) -> Result<Option<Arc<Task>>> {
        match options.idempotency_key() {
            Some(key) => self.store.repeated(caller, kind, key).await.map_err(error::from_store),
            None => Ok(None),
        }
    }
}
