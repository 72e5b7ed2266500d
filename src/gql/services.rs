//! What the API works with.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::error::{self, Result};
use crate::bus::Bus;
use crate::clock::Clock;
use crate::datasets::Datasets;
use crate::files::Files;
use crate::metrics::{Events, Stops};
use crate::runner::{RefusedStarts, Runner, StartOptions};
use crate::store::{Started, Store};
use crate::task::Task;

/// What the API works with.
pub struct Services {
    /// Where tasks are kept.
    pub store: Store,
    /// Where uploads are.
    pub files: Files,
    /// What runs them.
    pub runner: Runner,
    /// Who tells of changes.
    pub bus: Bus,
    /// Counts events of subscriptions.
    pub events: Events,
    /// Measures how long pauses and terminations take.
    pub stops: Stops,
    /// The tables.
    pub datasets: Arc<dyn Datasets>,
    /// The time.
    pub clock: Clock,
    /// The folder below which source.path may name files.
    pub import_dir: Option<PathBuf>,
    /// What may be asked of the server.
    pub limits: Limits,
    /// Since when the server is up.
    pub started_at: Timestamp,
}

/// What may be asked of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Digits of one computation of pi.
    pub max_pi_digits: u32,
    /// Bytes of one upload.
    pub max_upload_bytes: u64,
}

impl Services {
    /// Starts a task.
    pub async fn start(&self, kind: &str, spec: serde_json::Value, options: StartOptions) -> Result<Arc<Task>> {
        let started = self.runner.start_task(kind, spec, options).await.map_err(error::from_start)?;
        Ok(started.into_task())
    }

    /// Starts tasks in one commit: all of them, or none. An error names the refused one as `inputs.N`.
    pub async fn start_all(
        &self,
        kind: &str,
        starts: Vec<(serde_json::Value, StartOptions)>,
    ) -> Result<Vec<Arc<Task>>> {
        let started =
            self.runner.start_tasks(kind, starts).await.map_err(|RefusedStarts { place: index, error }| {
                let error = error::from_start(error);
                index.map_or(error.clone(), |index| error::at_input(index, error))
            })?;
        Ok(started.into_iter().map(Started::into_task).collect())
    }

    /// The task that an earlier start of this kind with the same idempotency key and input made.
    pub async fn repeated(&self, kind: &str, options: &StartOptions) -> Result<Option<Arc<Task>>> {
        match options.idempotency_key() {
            Some(key) => self.store.repeated(kind, key).await.map_err(error::from_store),
            None => Ok(None),
        }
    }
}
