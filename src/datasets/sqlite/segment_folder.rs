//! The folder of the segments.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::super::Error;
use crate::disk;

/// What SQLite may leave beside a file.
const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The folder `PATH-segments` beside the catalog at `PATH`.
pub(super) struct SegmentFolder {
    folder: PathBuf,
}

impl SegmentFolder {
    /// Opens the folder, making it and those above where they are missing.
    pub(super) fn open(catalog: &Path) -> Result<Self, Error> {
        let mut folder = catalog.as_os_str().to_owned();
        folder.push("-segments");
        let files = Self { folder: PathBuf::from(folder) };
        fs::create_dir_all(&files.folder).map_err(|error| files.failed(&error))?;
        if let Some(parent) = files.folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(files)
    }

    /// Where a segment lies.
    pub(super) fn path(&self, segment: &str) -> PathBuf {
        self.folder.join(format!("{segment}.db"))
    }

    /// Unlinks a segment and what lies beside it, for good and whatever its size; none is fine.
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

    /// Makes names that were added or taken away outlive a power loss.
    pub(super) fn sync(&self) -> Result<(), Error> {
        Ok(File::open(&self.folder)?.sync_all()?)
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::Failed(format!("cannot make the folder {}: {error}", self.folder.display()))
    }
}
