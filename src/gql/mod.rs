//! Common parts of the API of all kinds: scalars, errors, paging, progress, and the fields that all tasks have.

pub mod budget;
pub mod column;
pub mod error;
pub mod idempotency;
pub mod loader;
pub mod paging;
pub mod progress;
pub mod scalars;
pub mod secrets;
pub mod start_fields;
mod starts;
pub mod task;
