//! Makes the notices of final states. The runner sets it once it knows the kinds.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::task::Task;

/// Makes the notice of a task that has a receiver and reached a final state.
pub type NoticeFn = Arc<dyn Fn(&Task) -> Option<Task> + Send + Sync>;

/// Makes notices, once it is set.
#[derive(Default)]
pub struct Notices(OnceLock<NoticeFn>);

impl Notices {
    /// Sets what makes notices. Only the first call has an effect.
    pub fn set(&self, notice: NoticeFn) {
        let _ = self.0.set(notice);
    }

    /// Returns what makes notices.
    pub fn get(&self) -> Option<&NoticeFn> {
        self.0.get()
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices")
    }
}
