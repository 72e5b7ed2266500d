//! Copying files and databases, and bringing them to the disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::error::{at, in_database};
use super::{Error, StopFlag};

/// How long a lock of the server is waited for.
const BUSY: Duration = Duration::from_secs(30);

/// Pages that are copied between two looks at the stop.
const PAGES: i32 = 2048;

/// Bytes that are copied between two looks at the stop.
const CHUNK: u64 = 64 << 20;

/// Opens a database that exists. `READ_ONLY` neither changes it nor rolls back what a crash left.
pub(super) fn open(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let opened = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = opened.map_err(in_database(path))?;
    connection.busy_timeout(BUSY).map_err(in_database(path))?;
    Ok(connection)
}

/// Begins a read transaction: what the connection reads from now on is one state of the database.
pub(super) fn begin_read(connection: &Connection, path: &Path) -> Result<(), Error> {
    let begun = connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema");
    begun.map_err(in_database(path))
}

/// Copies a database as `from` reads it, into one file without a log beside it.
pub(super) fn database(from: &Connection, to: &Path, stop: &StopFlag) -> Result<(), Error> {
    let mut copy = Connection::open(to).map_err(in_database(to))?;
    // The copy is synced as a whole, and is worth nothing before.
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

/// Copies the first `length` bytes of a file, and its modification time: by that an import knows its file again.
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

/// Gives a file that never changes a second name; on another file system, copies it. False if it is not there any more.
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

/// The paths of the files below a folder; none if there is no such folder.
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

/// Brings the names in a folder, and in those below it, to the disk.
pub(super) fn sync_folders(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        if entry.file_type().map_err(at(folder))?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Brings the names in a folder to the disk.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// The folder that holds `path`.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The folder is missing or empty. What a new file system holds does not count.
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
