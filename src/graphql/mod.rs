//! The API's shape. Fields that all tasks have stand here; each kind adds its own in its `api.rs`.

pub mod control;
pub mod dataset;
pub mod error;
pub mod paging;
pub mod progress;
pub mod query;
pub mod scalars;
pub mod subscription;
pub mod task;

use std::path::PathBuf;
use std::sync::Arc;

use async_graphql::{MergedObject, Schema, SchemaBuilder};
use jiff::Timestamp;

use crate::bus::Bus;
use crate::clock::Clock;
use crate::datasets::Datasets;
use crate::kinds::api::Starts;
use crate::kinds::{export, import, pi};
use crate::runner::{Runner, StartOptions};
use crate::store::Store;
use crate::task::Task;
use control::Control;
use dataset::DatasetMutation;
use error::Result;
use query::Query;
use subscription::Subscription;
use task::TaskKind;

/// Nesting of selections.
const DEPTH: usize = 15;

/// Fields in one operation.
const COMPLEXITY: usize = 1000;

/// Nesting that the parser takes.
const RECURSION: usize = 24;

/// Directives on one selection.
const DIRECTIVES: usize = 16;

/// Everything that can be asked and done.
pub type Api = Schema<Query, Mutation, Subscription>;

/// What changes something.
#[derive(Default, MergedObject)]
pub struct Mutation(Starts, Control, DatasetMutation);

/// What the API works with.
pub struct Services {
    /// Where tasks are kept.
    pub store: Store,
    /// What runs them.
    pub runner: Runner,
    /// Who tells of changes.
    pub bus: Bus,
    /// The tables.
    pub datasets: Arc<dyn Datasets>,
    /// The time.
    pub clock: Clock,
    /// The folder below which source.path may name files.
    pub import_dir: Option<PathBuf>,
    /// What may be asked of the server.
    pub limits: Limits,
    /// The kinds that the embedding program registered.
    pub custom_kinds: Vec<String>,
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

    /// The task that an earlier start with the same idempotency key made.
    pub async fn repeated(&self, options: &StartOptions) -> Result<Option<Arc<Task>>> {
        match &options.idempotency_key {
            Some(key) => self.store.by_key(key).await.map_err(error::from_store),
            None => Ok(None),
        }
    }

    /// The names in the store of what clients call a kind.
    pub fn names_of(&self, kind: TaskKind) -> Vec<String> {
        match kind {
            TaskKind::Import => vec![import::NAME.to_owned()],
            TaskKind::Export => vec![export::NAME.to_owned()],
            TaskKind::Pi => vec![pi::NAME.to_owned()],
            TaskKind::Custom => self.custom_kinds.clone(),
        }
    }
}

/// The API over `services`.
pub fn api(services: Services) -> Api {
    builder().data(services).finish()
}

/// The schema as text.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation::default(), Subscription)
        .limit_depth(DEPTH)
        .limit_complexity(COMPLEXITY)
        .limit_recursive_depth(RECURSION)
        .limit_directives(DIRECTIVES)
}
