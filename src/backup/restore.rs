//! Restores a backup into an empty folder.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::copying::{self, is_empty, sync_folder, sync_folders};
use super::error::at;
use super::manifest::{Manifest, ManifestFile, hashed};
use super::{DataPaths, Error, StopFlag};
use crate::disk::folder_of;
use crate::store::Store;

/// Returns true if a restore of the store at this path was interrupted.
pub fn is_unfinished(store: &Path) -> bool {
    places_of(store).unfinished_store().exists() && !store.exists()
}

fn places_of(store: &Path) -> DataPaths {
    DataPaths { store: store.to_owned(), catalog: store.to_owned(), files: store.to_owned() }
}

/// Copies the backup in `folder` to `paths`, which must be empty, and verifies the hash of every file.
///
/// # Errors
/// The folder is not a complete backup, a file is damaged, the target is not empty, or a server is running. Then
/// nothing is left at the target.
pub fn restore(folder: &Path, paths: &DataPaths, data_dir: &Path, stop: &StopFlag) -> Result<Manifest, Error> {
    let manifest = Manifest::read(folder)?;
    let newest = Store::newest_schema();
    if manifest.schema > newest {
        let (found, version) = (manifest.schema, &manifest.pausa);
        let problem =
            format!("schema {found}, created by Pausa {version}; this version supports schemas up to {newest}");
        return Err(Error::Manifest { path: folder.to_owned(), problem });
    }
    let _lock = lock(paths, data_dir)?;
    let restored = copy_back(folder, &manifest, paths, stop);
    if restored.is_err() {
        clear(paths);
    }
    restored.map(|()| manifest)
}

/// Checks that the target is empty, and locks it so that no server starts.
fn lock(paths: &DataPaths, data_dir: &Path) -> Result<File, Error> {
    let path = paths.lock();
    if let Ok(lock) = File::open(&path) {
        lock.try_lock().map_err(|_| Error::Running(data_dir.to_owned()))?;
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    for (folder, except) in [(data_dir, &[name][..]), (&paths.segments(), &[]), (&paths.files, &[])] {
        if !is_empty(folder, except)? {
            return Err(Error::NotEmpty(folder.to_owned()));
        }
    }
    for file in [&paths.store, &paths.catalog, &paths.unfinished_store()] {
        if file.exists() {
            return Err(Error::NotEmpty(file.clone()));
        }
    }
    fs::create_dir_all(data_dir).map_err(at(data_dir))?;
    let folder = folder_of(&path);
    fs::create_dir_all(folder).map_err(at(folder))?;
    let lock = File::create(&path).map_err(at(&path))?;
    lock.try_lock().map_err(|_| Error::Running(data_dir.to_owned()))?;
    Ok(lock)
}

/// Copies the store first, under a temporary name by which a start detects an interrupted restore. It is renamed last.
fn copy_back(folder: &Path, manifest: &Manifest, paths: &DataPaths, stop: &StopFlag) -> Result<(), Error> {
    let store = paths.unfinished_store();
    let is_store = |entry: &&ManifestFile| paths.target(&entry.path).as_ref() == Some(&store);
    let (first, others): (Vec<_>, Vec<_>) = manifest.files.iter().partition(is_store);
    if first.is_empty() {
        let problem = "the manifest has no task store".to_owned();
        return Err(Error::Manifest { path: folder.to_owned(), problem });
    }
    for entry in first.into_iter().chain(others) {
        copy_one(folder, entry, paths, stop)?;
    }
    for tree in [paths.files.clone(), paths.segments()] {
        if tree.exists() {
            sync_folders(&tree)?;
        }
    }
    for file in [&paths.files, &paths.catalog, &paths.store] {
        sync_folder(folder_of(file))?;
    }
    fs::rename(&store, &paths.store).map_err(at(&paths.store))?;
    sync_folder(folder_of(&paths.store))
}

fn copy_one(folder: &Path, entry: &ManifestFile, paths: &DataPaths, stop: &StopFlag) -> Result<(), Error> {
    let from = folder.join(&entry.path);
    let problem = "the path is not part of a backup".to_owned();
    let to = paths.target(&entry.path).ok_or_else(|| Error::Manifest { path: from.clone(), problem })?;
    let file = File::open(&from).map_err(at(&from))?;
    let (size, sha256) = hashed(&file, &from, stop)?;
    if (size, &sha256) != (entry.size, &entry.sha256) {
        let problem = format!("size {size} and SHA-256 {sha256} differ from the manifest");
        return Err(Error::Damaged { path: from, problem });
    }
    let above = folder_of(&to);
    fs::create_dir_all(above).map_err(at(above))?;
    let file = File::open(&from).map_err(at(&from))?;
    copying::file(&file, size, &to, stop)?;
    let copied = File::options().read(true).write(true).open(&to).map_err(at(&to))?;
    // A backup that was moved to another place may have lost the modification times of its files.
    copied.set_modified(UNIX_EPOCH + Duration::from_nanos(entry.modified)).map_err(at(&to))?;
    copied.sync_all().map_err(at(&to))?;
    match hashed(&copied, &to, stop)? == (size, sha256) {
        true => Ok(()),
        false => Err(Error::Damaged { path: to, problem: "the restored file differs from the backup".to_owned() }),
    }
}

/// Deletes the files of a failed restore. A file that cannot be deleted prevents a server from starting.
fn clear(paths: &DataPaths) {
    for folder in [paths.segments(), paths.files.clone()] {
        let _ = fs::remove_dir_all(folder);
    }
    for file in [&paths.catalog, &paths.unfinished_store()] {
        let _ = fs::remove_file(file);
    }
}
