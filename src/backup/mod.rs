//! Backups of the embedded mode: a copy of the task store, the datasets and the files that fits together, taken while the
//! server runs or while it is stopped; and a copy of the folder that does not fit together, recognized at the start.
//!
//! - [`create`]: `pausa backup`; [`capture`]: the short time in which no task changes; [`copying`]: files and databases
//! - [`complete`]: what a copy must hold, by its own databases
//! - [`manifest`]: sizes and hashes; [`restore`]: `pausa restore`
//! - [`store_identity`]: the note in the lock file that tells a copied folder from the one that a server left
//! - [`command`]: the two commands, with signals and what they print

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

/// Asks a backup or a restore to stop.
#[derive(Debug, Default)]
pub struct StopFlag(AtomicBool);

impl StopFlag {
    /// Asks for it.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails if a stop was requested.
    fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
