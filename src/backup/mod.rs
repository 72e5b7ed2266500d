//! Backups of the embedded mode. A backup is a consistent copy of the task store, the datasets and the files. The
//! server may be running. A server also detects at its start if its folder is an inconsistent copy.
//!
//! - [`create`]: `pausa backup`; [`capture`]: the short time in which no task changes; [`copying`]: files and databases
//! - [`complete`]: completing and checking a copy by its own databases
//! - [`manifest`]: sizes and hashes; [`restore`]: `pausa restore`
//! - [`store_identity`]: the record in the lock file that distinguishes a copied folder from the original
//! - [`command`]: the two commands, with signals and output

mod capture;
pub mod command;
mod complete;
mod copying;
mod create;
mod data_paths;
mod error;
mod manifest;
mod restore;
pub mod store_identity;

pub use create::create;
pub use data_paths::DataPaths;
pub use error::Error;
pub use manifest::Manifest;
pub use restore::{is_unfinished, restore};

use std::sync::atomic::{AtomicBool, Ordering};

/// Requests a backup or a restore to stop.
#[derive(Debug, Default)]
pub struct StopFlag(AtomicBool);

impl StopFlag {
    /// Requests a stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails if a stop was requested.
    fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
