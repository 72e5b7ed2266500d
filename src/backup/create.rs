//! Making a backup: beside its folder first, and under its name once all of it is checked and on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;

use super::complete::{self, published};
use super::copying::{files_below, is_empty, link, open, parent, sync_folder, sync_folders};
use super::error::at;
use super::manifest::Manifest;
use super::moment::Moment;
use super::places::FOLDERS;
use super::{Error, Places, Stop};
use crate::clock::Clock;

/// Copies that are made anew because a file disappeared meanwhile.
const ATTEMPTS: u32 = 5;

/// Copies what `places` holds into `folder`, which must not exist or be empty.
///
/// # Errors
/// Whatever keeps the copy from being complete: then nothing is left under the folder's name.
pub fn create(places: &Places, folder: &Path, clock: &Clock, stop: &Stop) -> Result<Manifest, Error> {
    if !is_empty(folder, &[])? {
        return Err(Error::NotEmpty(folder.to_owned()));
    }
    if !places.store.exists() || !places.catalog.exists() {
        return Err(Error::NoStore(places.store.clone()));
    }
    let above = parent(folder);
    let work = tempfile::Builder::new().prefix(".pausa-backup-").tempdir_in(above).map_err(at(above))?;
    for attempt in 1..=ATTEMPTS {
        let copy = work.path().join(attempt.to_string());
        let (moment, lacking) = copy_all(places, &copy, clock, stop)?;
        // What is missing each time is missing in the server itself.
        if lacking.is_empty() || attempt == ATTEMPTS {
            complete::check(&Places::in_folder(&copy))?;
            let missing = lacking.iter().map(|path| relative(path, &copy)).collect();
            let manifest = Manifest::of(&copy, moment, missing, stop)?;
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

/// One copy; answers its moment and the files that it lacks.
fn copy_all(places: &Places, to: &Path, clock: &Clock, stop: &Stop) -> Result<(jiff::Timestamp, Vec<PathBuf>), Error> {
    let copy = Places::in_folder(to);
    let folders = FOLDERS.iter().map(|folder| copy.files.join(folder)).chain([copy.segments()]);
    for folder in folders {
        fs::create_dir_all(&folder).map_err(at(&folder))?;
    }
    link_unchanging(places, &copy, stop)?;
    let moment = Moment::take(places, &copy, clock)?.copy(&copy, stop)?;
    Ok((moment, complete::settle(&copy)?))
}

/// Links, or copies, what never changes: most of the bytes, so that little is left to be held.
fn link_unchanging(places: &Places, copy: &Places, stop: &Stop) -> Result<(), Error> {
    let catalog = open(&places.catalog, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    for id in published(&catalog, &places.catalog)? {
        let name = format!("{id}.db");
        link(&places.segments().join(&name), &copy.segments().join(&name), stop)?;
    }
    for folder in ["uploads", "results"] {
        for path in files_below(&places.files.join(folder))? {
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
