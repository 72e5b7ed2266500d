//! Starts tasks for the API.

use std::sync::Arc;

use super::node_lease::RunLease;
use super::registry::RunSignals;
use super::start_options::StartOptions;
use super::{BadInput, Context, Runner};
use crate::access::Caller;
use crate::spans;
use crate::store::{self, RefusedBatch, Started};
use crate::task::{NewTask, Task};

/// Reason for which no task was started.
#[derive(Debug, thiserror::Error)]
pub enum TaskStartError {
    /// The input is invalid.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Reason for which none of several tasks was started.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RefusedStarts {
    /// Index of the refused start. None if all are refused together.
    pub place: Option<usize>,
    /// The reason.
    pub error: TaskStartError,
}

impl From<RefusedBatch> for RefusedStarts {
    fn from(RefusedBatch { place, error }: RefusedBatch) -> RefusedStarts {
        RefusedStarts { place, error: error.into() }
    }
}

impl Runner {
    /// Starts a task of the kind named `kind`.
    pub async fn start_task(
        &self,
        caller: &Caller,
        kind: &str,
        spec: serde_json::Value,
        options: StartOptions,
    ) -> Result<Started, TaskStartError> {
        let mut task = self.new_task(caller, kind, &spec, options)?;
        if let (None, Some(upload)) = (&task.file_name, &task.upload) {
            task.file_name = self.0.store.upload(caller, upload).await?.and_then(|upload| upload.name);
        }
        Ok(self.0.store.create(caller, task, self.0.settings.max_waiting).await?)
    }

    /// Starts tasks of the kind named `kind` in one commit: all or none.
    ///
    /// # Errors
    /// The first refused start, with its index in `starts`.
    pub async fn start_tasks(
        &self,
        caller: &Caller,
        kind: &str,
        starts: Vec<(serde_json::Value, StartOptions)>,
    ) -> Result<Vec<Started>, RefusedStarts> {
        let mut tasks = Vec::with_capacity(starts.len());
        for (place, (spec, options)) in starts.into_iter().enumerate() {
            let refused = |error| RefusedStarts { place: Some(place), error };
            tasks.push(self.new_task(caller, kind, &spec, options).map_err(refused)?);
        }
        Ok(self.0.store.create_batch(caller, tasks, self.0.settings.max_waiting).await?)
    }

    fn new_task(
        &self,
        caller: &Caller,
        kind: &str,
        spec: &serde_json::Value,
        options: StartOptions,
    ) -> Result<Task, TaskStartError> {
        let unknown = || {
            let names = self.kind_names().collect::<Vec<_>>().join(", ");
            BadInput::new("name", format!("{kind:?} is not a kind of task of this node: expected one of {names}."))
        };
        options.notify_url.as_deref().map_or(Ok(()), |url| self.check_notify_url(url))?;
        let known = self.kind(kind).ok_or_else(unknown)?;
        let plan = known.plan(spec)?;
        let new = NewTask {
            kind: kind.to_owned(),
            spec: spec.to_string(),
            unit: plan.unit,
            total: plan.total,
            label: options.label,
            dataset: known.dataset(spec),
            file_name: known.file_name(spec),
            start_at: options.start_at,
            unique_key: plan.unique_key,
            idempotency_key: options.idempotency_key,
            upload: plan.upload,
            concurrency_key: plan.concurrency_key,
            tags: options.tags,
            priority: options.priority,
            notify_url: options.notify_url,
            created_by: caller.subject().to_owned(),
        };
        let task = Task::new(self.0.clock.task_id(), new, self.0.clock.now());
        Ok(Task { trace_parent: spans::trace_parent(), ..task })
    }

    pub(super) fn context(&self, task: &Arc<Task>, lease: RunLease, signals: RunSignals) -> Context {
        let Runner(inner) = self;
        let (work, task) = (inner.metrics.work(task), Arc::clone(task));
        Context::new(task, lease, inner.store.clone(), inner.files.clone(), inner.clock.clone(), signals, work)
    }
}
