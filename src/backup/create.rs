//! Creates a backup in a temporary folder beside the target, and renames it when it is verified and synced.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;

use super::capture::Capture;
use super::complete::{self, published};
use super::copying::{files_below, is_empty, link, open, sync_folder, sync_folders};
use super::data_paths::FOLDERS;
use super::error::at;
use super::manifest::Manifest;
use super::{DataPaths, Error, StopFlag};
use crate::clock::Clock;
use crate::disk::folder_of;
use crate::files::MARKER_FILE;

/// Maximum number of copies. A copy is repeated if a file disappeared meanwhile.
const ATTEMPTS: u32 = 5;

/// Copies the files of `paths` to `folder`, which must be missing or empty.
///
/// # Errors
/// Any failure that makes the copy incomplete. Then nothing is left at `folder`.
pub fn create(paths: &DataPaths, folder: &Path, clock: &Clock, stop: &StopFlag) -> Result<Manifest, Error> {
    if !is_empty(folder, &[])? {
        return Err(Error::NotEmpty(folder.to_owned()));
    }
    if !paths.store.exists() || !paths.catalog.exists() {
        return Err(Error::NoStore(paths.store.clone()));
    }
    let above = folder_of(folder);
    let work = tempfile::Builder::new().prefix(".pausa-backup-").tempdir_in(above).map_err(at(above))?;
    for attempt in 1..=ATTEMPTS {
        let copy = work.path().join(attempt.to_string());
        let (taken_at, lacking) = copy_all(paths, &copy, clock, stop)?;
        // A file that every copy lacks is missing on the server itself.
        if lacking.is_empty() || attempt == ATTEMPTS {
            complete::check(&DataPaths::in_folder(&copy))?;
            let missing = lacking.iter().map(|path| relative(path, &copy)).collect();
            let manifest = Manifest::of(&copy, taken_at, missing, stop)?;
            manifest.write(&copy)?;
            sync_folders(&copy)?;
            stop.check()?;
            fs::rename(&copy, folder).map_err(at(folder))?;
            sync_folder(above)?;
            return Ok(manifest);
        }
        fs::remove_dir_all(&copy).map_err(at(&copy))?;
    }
    Err(Error::Vanished(folder.to_owned()))
}

/// Creates one copy. Returns the time of its state, and the files that it lacks.
fn copy_all(
    paths: &DataPaths,
    to: &Path,
    clock: &Clock,
    stop: &StopFlag,
) -> Result<(jiff::Timestamp, Vec<PathBuf>), Error> {
    let copy = DataPaths::in_folder(to);
    let folders = FOLDERS.iter().map(|folder| copy.files.join(folder)).chain([copy.segments()]);
    for folder in folders {
        fs::create_dir_all(&folder).map_err(at(&folder))?;
    }
    link_unchanging(paths, &copy, stop)?;
    let taken_at = Capture::take(paths, &copy, clock)?.copy(&copy, stop)?;
    Ok((taken_at, complete::settle(&copy)?))
}

/// Links or copies files that never change. They are most of the bytes, so the capture has less to copy.
fn link_unchanging(paths: &DataPaths, copy: &DataPaths, stop: &StopFlag) -> Result<(), Error> {
    let catalog = open(&paths.catalog, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    for id in published(&catalog, &paths.catalog)? {
        let name = format!("{id}.db");
        link(&paths.segments().join(&name), &copy.segments().join(&name), stop)?;
    }
    // The restored files belong to the restored store.
    link(&paths.files.join(MARKER_FILE), &copy.files.join(MARKER_FILE), stop)?;
    for folder in ["uploads", "results"] {
        for path in files_below(&paths.files.join(folder))? {
            let unfinished = path.extension().is_some_and(|end| end == "part");
            if let Some(name) = path.file_name().filter(|_| !unfinished) {
                link(&path, &copy.files.join(folder).join(name), stop)?;
            }
        }
    }
    Ok(())
}

fn relative(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
}
