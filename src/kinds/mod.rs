//! The kinds of task that this server knows. A new kind is a folder here, a line `pub mod`, and an entry in
//! [`each_kind`].

pub mod api;
pub mod custom;
pub mod export;
pub mod import;
pub mod pi;
mod rate_limiter;
pub mod timer;

use std::io;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::datasets::{self, DatasetName, Datasets};
use crate::files::Fingerprint;
use crate::metrics::Metrics;
use crate::runner::{BadInput, Context, Failure, Kind, Kinds};
use crate::task::{Code, ResultFile};
use outbound::Outbound;

/// Calls the macro `callback` with the list of kinds. A new kind adds its `pub mod` above and its entry here.
///
/// An entry has the kind's module, its type, and its types in the API: the task and the start. The comment describes the
/// kind in the API.
macro_rules! each_kind {
    ($callback:ident) => {
        $callback! {
            /// Import of a CSV file into a dataset.
            import Import ImportTask ImportStart,
            /// Export of a dataset to a CSV file.
            export Export ExportTask ExportStart,
            /// Computation of digits of pi into a zip file.
            pi Pi PiTask PiStart,
            /// Timer that sends a webhook.
            timer Timer TimerTask TimerStart,
        }
    };
}
pub(crate) use each_kind;

/// Parts from which kinds are built. Each kind takes those that it needs.
pub struct KindParts<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The database of datasets.
    pub datasets: &'a Arc<dyn Datasets>,
    /// The client for addresses that users name.
    pub outbound: &'a Outbound,
    /// Metrics of the node. A kind may add families of its own.
    pub metrics: &'a Metrics,
}

macro_rules! define_builtin {
    ($($(#[$doc:meta])* $module:ident $kind:ident $task:ident $start:ident,)*) => {
        /// Makes the kinds that come with the server, and adds those of the embedding program.
        pub fn builtin(parts: &KindParts<'_>, others: Vec<Arc<dyn Kind>>) -> Kinds {
            let ours: Vec<Arc<dyn Kind>> = vec![$(Arc::new($module::$kind::new(parts)),)*];
            ours.into_iter().chain(others).map(|kind| (kind.name(), kind)).collect()
        }
    };
}
each_kind!(define_builtin);

/// Unique key of a task that fills `dataset`: only one unfinished task may have it.
pub fn dataset_key(dataset: &DatasetName) -> String {
    format!("dataset:{dataset}")
}

/// A spec as its kind reads it.
fn read_spec<S: DeserializeOwned>(spec: &serde_json::Value) -> Result<S, BadInput> {
    S::deserialize(spec).map_err(|error| BadInput::new("spec", error.to_string()))
}

/// Stages a finished working file as the result of the task. `known` is its size and hash, if they were computed already.
async fn stage_result(context: &Context, file: &str, known: Option<Fingerprint>) -> io::Result<Fingerprint> {
    let (blobs, task, scratch) = (Arc::clone(&context.files().blobs), context.id(), context.scratch());
    let file = file.to_owned();
    let staging = context.uninterrupted(async move { blobs.stage_result(task, &scratch, &file, known).await });
    staging.await.map_err(io::Error::other)?
}

/// Returns true if an earlier run staged this file, and it is still there.
async fn is_staged(context: &Context, file: &Fingerprint) -> Result<bool, Failure> {
    let staged = context.files().blobs.is_staged(context.id(), file).await;
    staged.map_err(|error| Failure::io("the finished file", &error))
}

/// Puts the staged result of a finished run in its place.
async fn place_file(context: &Context, result: Option<&ResultFile>) -> Result<(), Failure> {
    let Some(file) = result else { return Ok(()) };
    let published = context.files().publish_result(context.id(), &file.sha256).await;
    published.map_err(|error| Failure::io("the finished file", &error))
}

/// Returns once this node certainly has the task, before an act that no epoch fences.
async fn require_lease(context: &Context) -> Result<(), Failure> {
    context.may_act().await.map_err(|lost| Failure::internal(format!("The run stopped before its next write: {lost}.")))
}

/// Deletes the result and the working files of a task.
async fn delete_files(context: &Context) -> Result<(), Failure> {
    // A file carries no epoch.
    require_lease(context).await?;
    let deleted = context.files().delete_task(context.id()).await;
    deleted.map_err(|error| Failure::io("the task's files", &error))
}

impl From<datasets::Error> for Failure {
    fn from(error: datasets::Error) -> Failure {
        let text = error.to_string();
        match error {
            datasets::Error::Exists(_) => Failure::permanent(Code::AlreadyExists, text),
            datasets::Error::Missing(_) => Failure::permanent(Code::NotFound, text),
            datasets::Error::Columns { .. }
            | datasets::Error::TooManyColumns { .. }
            | datasets::Error::Cell { .. }
            | datasets::Error::Invalid(_) => Failure::input(text),
            datasets::Error::TooSlow => Failure::permanent(Code::TooLarge, text),
            datasets::Error::Full(_) => Failure::full(text),
            datasets::Error::Unavailable(_) | datasets::Error::Outage(_) => Failure::until_available(text),
            datasets::Error::LeaseLost | datasets::Error::Cancelled | datasets::Error::Failed(_) => {
                Failure::internal(text)
            }
        }
    }
}
