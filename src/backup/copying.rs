//! Copies files and databases, and syncs them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::error::{at, in_database};
use super::{Error, StopFlag};
use crate::disk;

/// Maximum wait for a lock of the server.
const BUSY: Duration = Duration::from_secs(30);

/// Pages copied between two checks of the stop flag.
const PAGES: i32 = 2048;

/// Bytes copied between two checks of the stop flag.
const CHUNK: u64 = 64 << 20;

/// Opens an existing database. With `READ_ONLY`, it is not changed, and an interrupted write is not rolled back.
pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = opened.map_err(in_database(path))?;
    connection.busy_timeout(BUSY).map_err(in_database(path))?;
    Ok(connection)
}

/// Starts a read transaction: from now on the connection reads one state of the database.
pub(super) fn begin_read(connection: &Connection, path: &Path) -> Result<(), Error> {
    let begun = connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema");
    begun.map_err(in_database(path))
}

/// Copies a database as `from` reads it, to one file without a log.
pub(super) fn database(from: &Connection, to: &Path, stop: &StopFlag) -> Result<(), Error> {
    let mut copy = Connection::open(to).map_err(in_database(to))?;
    // The copy is synced as a whole at the end.
    copy.execute_batch("PRAGMA synchronous = OFF").map_err(in_database(to))?;
    {
        let backup = Backup::new(from, &mut copy).map_err(in_database(to))?;
        while backup.step(PAGES).map_err(in_database(to))? != StepResult::Done {
            stop.check()?;
        }
    }
    copy.execute_batch("PRAGMA journal_mode = DELETE").map_err(in_database(to))?;
    copy.close().map_err(|(_, cause)| in_database(to)(cause))
}

/// Copies the first `length` bytes of a file, and its modification time, by which an import recognizes its file.
pub(super) fn file(from: &File, length: u64, to: &Path, stop: &StopFlag) -> Result<(), Error> {
    let mut target = File::create_new(to).map_err(at(to))?;
    let mut left = length;
    while left > 0 {
        stop.check()?;
        let copied = io::copy(&mut from.take(left.min(CHUNK)), &mut target).map_err(at(to))?;
        if copied == 0 {
            break;
        }
        left -= copied;
    }
    let modified = from.metadata().and_then(|known| known.modified()).map_err(at(to))?;
    target.set_modified(modified).map_err(at(to))
}

/// Links a file that never changes, or copies it to another file system. Returns false if it no longer exists.
pub(super) fn link(from: &Path, to: &Path, stop: &StopFlag) -> Result<bool, Error> {
    match fs::hard_link(from, to) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(true),
        Err(_) => {}
    }
    let source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(at(from))?,
    };
    let length = source.metadata().map_err(at(from))?.len();
    file(&source, length, to, stop)?;
    Ok(true)
}

/// Returns the paths of all files below a folder. Empty if the folder does not exist.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other.map_err(at(folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
        let is_folder = entry.file_type().map_err(at(folder))?.is_dir();
        if is_folder { found.extend(files_below(&entry.path())?) } else { found.push(entry.path()) }
    }
    Ok(found)
}

/// Syncs a folder and those below it.
pub(super) fn sync_folders(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        if entry.file_type().map_err(at(folder))?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Syncs a folder.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    disk::sync_folder(folder).map_err(at(folder))
}

/// Returns true if a folder is missing or empty. `lost+found` does not count, nor do the names in `except`.
pub(super) fn is_empty(folder: &Path, except: &[&str]) -> Result<bool, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other.map_err(at(folder))?,
    };
    for entry in entries {
        let name = entry.map_err(at(folder))?.file_name();
        if name != "lost+found" && !except.iter().any(|other| name == **other) {
            return Ok(false);
        }
    }
    Ok(true)
}
