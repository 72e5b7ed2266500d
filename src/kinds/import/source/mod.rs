//! Where a file's bytes come from, and the text that is read of them.

pub mod input;
mod local;

pub use local::{below, open};
