//! Starting tasks: what the API asks of the runner.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::registry::Signal;
use super::{BadInput, Context, Runner};
use crate::spans;
use crate::store::{self, RefusedBatch, Started};
use crate::task::{IdempotencyKey, NewTask, Task, text};

/// What every start may say.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    label: Option<String>,
    start_at: Option<Timestamp>,
    idempotency_key: Option<IdempotencyKey>,
}

impl StartOptions {
    /// A label chosen by the client, the earliest moment of the first run, and the key that makes the start repeatable.
    ///
    /// # Errors
    /// A label or a key that cannot be stored, by its field.
    pub fn new(
        label: Option<String>,
        start_at: Option<Timestamp>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> Result<StartOptions, BadInput> {
        let key = idempotency_key.as_ref().map(|key| key.text.as_str());
        BadInput::check_text("label", label.as_deref(), text::LABEL)?;
        BadInput::check_text("idempotencyKey", key, text::KEY)?;
        Ok(StartOptions { label, start_at, idempotency_key })
    }

    /// Identifies the start: a second one with the same key and input returns the first one's task.
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The input cannot be done.
    #[error(transparent)]
    Input(#[from] BadInput),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Why none of several tasks was started.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct RefusedStarts {
    /// The place of the start that is refused. None if they are refused as a whole.
    pub place: Option<usize>,
    /// The reason.
    pub error: StartError,
}

impl From<RefusedBatch> for RefusedStarts {
    fn from(RefusedBatch { place, error }: RefusedBatch) -> RefusedStarts {
        RefusedStarts { place, error: error.into() }
    }
}

impl Runner {
    /// Starts a task of the kind `kind`.
    pub async fn start_task(
        &self,
        kind: &str,
        spec: serde_json::Value,
        options: StartOptions,
    ) -> Result<Started, StartError> {
        let task = self.new_task(kind, &spec, options)?;
        Ok(self.0.store.create(task, "client", self.0.settings.max_waiting).await?)
    }

    /// Starts tasks of the kind `kind` in one commit: all of them, or none.
    ///
    /// # Errors
    /// The first start that is refused, with its place in `starts`.
    pub async fn start_tasks(
        &self,
        kind: &str,
        starts: Vec<(serde_json::Value, StartOptions)>,
    ) -> Result<Vec<Started>, RefusedStarts> {
        let mut tasks = Vec::with_capacity(starts.len());
        for (place, (spec, options)) in starts.into_iter().enumerate() {
            let refused = |error| RefusedStarts { place: Some(place), error };
            tasks.push(self.new_task(kind, &spec, options).map_err(refused)?);
        }
        Ok(self.0.store.create_batch(tasks, "client", self.0.settings.max_waiting).await?)
    }

    fn new_task(&self, kind: &str, spec: &serde_json::Value, options: StartOptions) -> Result<Task, StartError> {
        let unknown = || BadInput::new("name", format!("this server knows no kind of task named {kind:?}"));
        let plan = self.kind(kind).ok_or_else(unknown)?.plan(spec)?;
        let new = NewTask {
            kind: kind.to_owned(),
            spec: spec.to_string(),
            unit: plan.unit,
            total: plan.total,
            label: options.label,
            start_at: options.start_at,
            unique_key: plan.unique_key,
            idempotency_key: options.idempotency_key,
            upload: plan.upload,
            concurrency_key: plan.concurrency_key,
        };
        let task = Task::new(self.0.clock.task_id(), new, self.0.clock.now());
        Ok(Task { trace_parent: spans::trace_parent(), ..task })
    }

    pub(super) fn context(&self, task: &Arc<Task>, signal: watch::Receiver<Signal>) -> Context {
        let Runner(inner) = self;
        let work = inner.metrics.work(task);
        Context::new(Arc::clone(task), inner.store.clone(), inner.files.clone(), inner.clock.clone(), signal, work)
    }
}
