//! Failures of reading a source.

use std::io;

use crate::runner::Failure;

/// Returns the failure of a read. If the file cannot become complete, that is the reason.
pub fn read_failure(error: &io::Error) -> Failure {
    let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
    failure.cloned().unwrap_or_else(|| Failure::io("the file", error))
}
