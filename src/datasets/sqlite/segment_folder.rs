//! The folder of segments.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::Error;
use crate::disk;

/// Suffixes of the files that SQLite creates beside a database.
const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The folder `PATH-segments` beside the catalog at `PATH`.
pub(super) struct SegmentFolder {
    folder: PathBuf,
}

impl SegmentFolder {
    /// Opens the folder, and creates it and its parents if they are missing.
    pub(super) fn open(catalog: &Path) -> Result<Self, Error> {
        let mut folder = catalog.as_os_str().to_owned();
        folder.push("-segments");
        let files = Self { folder: PathBuf::from(folder) };
        fs::create_dir_all(&files.folder).map_err(|error| files.failed(&error))?;
        if let Some(parent) = files.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk::sync_folder(parent)?;
        }
        Ok(files)
    }

    /// Returns the path of a segment.
    pub(super) fn path(&self, segment: &str) -> PathBuf {
        self.folder.join(format!("{segment}.db"))
    }

    /// Returns the size of a published segment, in bytes.
    pub(super) fn size(&self, segment: &str) -> Result<u64, Error> {
        let path = self.path(segment);
        let found = fs::metadata(&path).map(|metadata| metadata.len());
        found.map_err(|error| Error::Failed(format!("cannot read the size of {}: {error}", path.display())))
    }

    /// Deletes a segment and the files beside it. Idempotent. Takes the same time whatever its size.
    pub(super) fn remove(&self, segment: &str) -> Result<(), Error> {
        let path = self.path(segment);
        let mut removed = disk::remove_file(&path)?;
        for companion in COMPANIONS {
            let mut beside = path.clone().into_os_string();
            beside.push(companion);
            removed |= disk::remove_file(Path::new(&beside))?;
        }
        if removed { self.sync() } else { Ok(()) }
    }

    /// Syncs the folder: created and deleted names survive a power loss.
    pub(super) fn sync(&self) -> Result<(), Error> {
        Ok(disk::sync_folder(&self.folder)?)
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::Failed(format!("cannot create the folder {}: {error}", self.folder.display()))
    }
}
