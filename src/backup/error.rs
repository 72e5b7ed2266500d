//! Why there is no backup, or nothing was restored.

use std::io;
use std::path::{Path, PathBuf};

/// Why a backup or a restore ended without success. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part of the data is in PostgreSQL.
    #[error(
        "{0} is PostgreSQL, and this command copies SQLite only. Use pg_dump, and then copy the folder of uploads and \
         results: docs/operations.md describes the order"
    )]
    Postgres(&'static str),
    /// The store is in memory, or the URL names no file.
    #[error("{0} is not a file")]
    NoFile(&'static str),
    /// There is nothing to back up.
    #[error("{} does not exist: no server ever ran with these settings", .0.display())]
    NoStore(PathBuf),
    /// The target is not empty.
    #[error("{} is not empty: name a folder that does not exist yet, or an empty one", .0.display())]
    NotEmpty(PathBuf),
    /// A server uses the folder.
    #[error("a server is running on {}: stop it first", .0.display())]
    Running(PathBuf),
    /// The disk is full.
    #[error("{}: the disk is full", .0.display())]
    Full(PathBuf),
    /// A file or folder cannot be read or written.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The cause.
        cause: io::Error,
    },
    /// A database cannot be read or written.
    #[error("{}: {cause}", .path.display())]
    Database {
        /// Its path.
        path: PathBuf,
        /// The cause.
        cause: rusqlite::Error,
    },
    /// A database fails SQLite's check.
    #[error("{} is damaged: {problem}", .path.display())]
    Damaged {
        /// Its path.
        path: PathBuf,
        /// The first problem.
        problem: String,
    },
    /// A file disappeared while it was copied.
    #[error("{} disappeared while the backup was made: try again", .0.display())]
    Vanished(PathBuf),
    /// The folder is not a backup, or not one that this version can read.
    #[error("{}: {problem}", .path.display())]
    Manifest {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A stop was requested.
    #[error("interrupted: nothing was kept")]
    Interrupted,
}

/// Adds the path to an error of the file system.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |cause| match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full(path.to_owned()),
        _ => Error::Io { path: path.to_owned(), cause },
    }
}

/// Adds the path to an error of SQLite.
pub(super) fn in_database(path: &Path) -> impl Fn(rusqlite::Error) -> Error + '_ {
    move |cause| match cause.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::Full(path.to_owned()),
        _ => Error::Database { path: path.to_owned(), cause },
    }
}
