//! Captures the state of all parts at one moment.
//!
//! While both databases are locked for writing, no task changes its state and none is claimed, published or deleted.
//! Runs continue to write their own rows and files. During these milliseconds, the capture keeps everything that may
//! change or disappear: databases by read transactions, stagings by locks that prevent writes, files by open handles.
//! So the copy is what a crash at that moment would leave, and a start recovers it in the same way.
//!
//! The order matters if one part refers to another. Stagings are captured before the work folders: the cursor in a
//! staging refers to bytes that are already in the work folder.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::complete::published;
use super::copying::{self, begin_read, files_below, open};
use super::data_paths::FOLDERS;
use super::error::{at, in_database};
use super::{DataPaths, Error, StopFlag};
use crate::clock::Clock;
use crate::disk::folder_of;

/// SQLite's error if a crash left a journal that a read-only connection cannot roll back.
const READONLY_ROLLBACK: i32 = 776;

/// The captured state.
pub(super) struct Capture {
    /// Time of the capture.
    pub(super) at: Timestamp,
    store: Connection,
    catalog: Connection,
    stagings: Vec<OpenStaging>,
    files: Vec<OpenFile>,
}

/// The staging of an import, read-locked.
struct OpenStaging {
    connection: Connection,
    size: u64,
    to: PathBuf,
}

/// An open file. It can be copied even if its name is removed.
struct OpenFile {
    file: File,
    length: u64,
    to: PathBuf,
}

impl Capture {
    /// Captures what is in `paths` and not yet in `copy`.
    pub(super) fn take(paths: &DataPaths, copy: &DataPaths, clock: &Clock) -> Result<Capture, Error> {
        let _locks = (lock(&paths.store)?, lock(&paths.catalog)?);
        let store = reader(&paths.store)?;
        let catalog = reader(&paths.catalog)?;
        let published = published(&catalog, &paths.catalog)?;
        let mut capture = Capture { at: clock.now(), store, catalog, stagings: Vec::new(), files: Vec::new() };
        capture.capture_segments(&paths.segments(), &copy.segments(), &published)?;
        for folder in FOLDERS {
            capture.capture_files(&paths.files.join(folder), &copy.files.join(folder))?;
        }
        Ok(capture)
    }

    fn capture_segments(&mut self, from: &Path, to: &Path, published: &HashSet<String>) -> Result<(), Error> {
        for path in files_below(from)?.iter().filter(|path| path.extension().is_some_and(|end| end == "db")) {
            let (Some(id), Some(name)) = (path.file_stem().and_then(|id| id.to_str()), path.file_name()) else {
                continue;
            };
            if published.contains(id) {
                self.capture_file(path, to.join(name))?;
            } else {
                self.capture_staging(path, to.join(name))?;
            }
        }
        Ok(())
    }

    /// Waits until an active write ends, and prevents the next one.
    fn capture_staging(&mut self, path: &Path, to: PathBuf) -> Result<(), Error> {
        let Some(size) = size(path)? else { return Ok(()) };
        let begun = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
            begin_read(&connection, path)?;
            Ok(connection)
        });
        match begun {
            Ok(connection) => {
                // Otherwise the staging is not complete yet, because of a crash or because it is being created.
                if has_bookkeeping(&connection, path)? {
                    self.stagings.push(OpenStaging { connection, size, to });
                }
                Ok(())
            }
            Err(Error::Database { cause, .. }) if extended_code(&cause) == Some(READONLY_ROLLBACK) => {
                self.capture_file(path, to.clone())?;
                self.capture_file(&journal(path), journal(&to))
            }
            Err(_) if !path.exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn capture_files(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        let mut paths = files_below(from)?;
        // A mark records how many bytes of the file beside it are valid: it must not be newer than that file.
        paths.sort_by_key(|path| path.extension().is_none_or(|end| end != "mark"));
        for path in paths {
            let unfinished = path.extension().is_some_and(|end| end == "part");
            if let Ok(name) = path.strip_prefix(from)
                && !unfinished
                && !to.join(name).exists()
            {
                self.capture_file(&path, to.join(name))?;
            }
        }
        Ok(())
    }

    /// Captures a file. A missing file is skipped: [`super::complete`] checks the copy for the files that it needs.
    fn capture_file(&mut self, path: &Path, to: PathBuf) -> Result<(), Error> {
        if to.exists() {
            return Ok(());
        }
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(at(path))?,
        };
        let length = file.metadata().map_err(at(path))?.len();
        self.files.push(OpenFile { file, length, to });
        Ok(())
    }

    /// Copies the captured state. The smallest stagings come first, because their imports are blocked.
    pub(super) fn copy(mut self, copy: &DataPaths, stop: &StopFlag) -> Result<Timestamp, Error> {
        self.stagings.sort_by_key(|staging| staging.size);
        for OpenStaging { connection, to, .. } in self.stagings {
            copying::database(&connection, &to, stop)?;
        }
        for OpenFile { file, length, to } in self.files {
            let folder = folder_of(&to);
            fs::create_dir_all(folder).map_err(at(folder))?;
            copying::file(&file, length, &to, stop)?;
        }
        copying::database(&self.store, &copy.store, stop)?;
        copying::database(&self.catalog, &copy.catalog, stop)?;
        roll_back(&copy.segments())?;
        Ok(self.at)
    }
}

/// Prevents all other writes until it is dropped.
fn lock(path: &Path) -> Result<Connection, Error> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(in_database(path))?;
    Ok(connection)
}

fn reader(path: &Path) -> Result<Connection, Error> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    begin_read(&connection, path)?;
    Ok(connection)
}

fn has_bookkeeping(connection: &Connection, path: &Path) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_pausa')";
    connection.query_row(sql, [], |row| row.get(0)).map_err(in_database(path))
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

fn size(path: &Path) -> Result<Option<u64>, Error> {
    match fs::metadata(path) {
        Ok(known) => Ok(Some(known.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

fn journal(path: &Path) -> PathBuf {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    PathBuf::from(journal)
}

/// Rolls back, in the copies, the writes that a crash interrupted.
fn roll_back(segments: &Path) -> Result<(), Error> {
    for path in files_below(segments)?.iter().filter(|path| path.extension().is_some_and(|end| end == "db-journal")) {
        let segment = path.with_extension("db");
        let connection = open(&segment, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let is_complete = has_bookkeeping(&connection, &segment)?;
        connection.execute_batch("PRAGMA journal_mode = DELETE").map_err(in_database(&segment))?;
        connection.close().map_err(|(_, cause)| in_database(&segment)(cause))?;
        if !is_complete {
            fs::remove_file(&segment).map_err(at(&segment))?;
        }
        if path.exists() {
            fs::remove_file(path).map_err(at(path))?;
        }
    }
    Ok(())
}
