//! Notices of final states: which task delivers them is the matter of one kind.

use std::sync::Arc;

use super::kind::completed_file;
use super::{BadInput, Kinds, Runner};
use crate::clock::Clock;
use crate::store::Store;
use crate::task::{NewTask, ResultFile, Task};

/// Maximum length of a URL, in characters.
const MAX_URL: usize = 2_000;

/// Delivers notices of final states, by tasks of its kind.
pub trait Notifier: Send + Sync {
    /// Checks the URL of a receiver.
    ///
    /// # Errors
    /// Why it is not allowed.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Returns the task that tells `url` of the final state of `task`, which made the file `result`.
    fn notice(&self, task: &Task, url: &str, result: Option<ResultFile>) -> NewTask;
}

/// Lets the store write a notice with each final state.
pub(super) fn notify(store: &Store, kinds: &Kinds, clock: &Clock, notifier: Arc<dyn Notifier>) {
    let (kinds, clock) = (kinds.clone(), clock.clone());
    store.notify_by(Arc::new(move |task| {
        let (url, at) = (task.notify_url.as_deref()?, task.finished_at?);
        let result = match kinds.get(task.kind.as_str()) {
            Some(kind) => kind.result_file(task),
            None => completed_file(task),
        };
        Some(Task::new(clock.task_id(), notifier.notice(task, url, result), at))
    }));
}

impl Runner {
    /// Checks the URL of a receiver of notices.
    ///
    /// # Errors
    /// One that is not allowed, with its field.
    pub fn check_notify_url(&self, url: &str) -> Result<(), BadInput> {
        BadInput::check_text("notifyUrl", Some(url), MAX_URL)?;
        match &self.0.notifier {
            Some(notifier) => notifier.check(url).map_err(|refused| BadInput::new("notifyUrl", refused)),
            None => Err(BadInput::new("notifyUrl", "This server sends no notices.")),
        }
    }
}
