//! Errors of backups and restores.

use std::io;
use std::path::{Path, PathBuf};

/// Reason why a backup or a restore failed. Its files are deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Some data is in PostgreSQL.
    #[error(
        "{0} is PostgreSQL, and this command copies SQLite only. Use pg_dump, and then copy the folder or bucket of uploads \
         and results: docs/operations.md describes the order"
    )]
    Postgres(&'static str),
    /// The files are in a bucket.
    #[error(
        "uploads and results are in the bucket {0}, and this command copies folders only. Copy the folder or bucket of uploads and \
         results with its own tools, after the databases: docs/operations.md describes the order"
    )]
    Bucket(String),
    /// The store is in memory, or the URL does not name a file.
    #[error("{0} is not a file")]
    NoFile(&'static str),
    /// No data to back up.
    #[error("{} does not exist. No server has run with these settings", .0.display())]
    NoStore(PathBuf),
    /// The target is not empty.
    #[error("{} is not empty. Choose a new or an empty folder", .0.display())]
    NotEmpty(PathBuf),
    /// A server is using the folder.
    #[error("a server is running on {}. Stop it first", .0.display())]
    Running(PathBuf),
    /// The disk is full.
    #[error("{}: the disk is full", .0.display())]
    Full(PathBuf),
    /// A file or folder cannot be read or written.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Cause.
        cause: io::Error,
    },
    /// A database cannot be read or written.
    #[error("{}: {cause}", .path.display())]
    Database {
        /// Path of the database.
        path: PathBuf,
        /// Cause.
        cause: rusqlite::Error,
    },
    /// A database fails SQLite's check.
    #[error("{} is damaged: {problem}", .path.display())]
    Damaged {
        /// Path of the database.
        path: PathBuf,
        /// First problem.
        problem: String,
    },
    /// A file disappeared while it was copied.
    #[error("{} disappeared during the backup. Retry", .0.display())]
    Vanished(PathBuf),
    /// The folder is not a backup, or not one that this version can read.
    #[error("{}: {problem}", .path.display())]
    Manifest {
        /// Path of the folder or file.
        path: PathBuf,
        /// Problem.
        problem: String,
    },
    /// A stop was requested.
    #[error("interrupted; all created files were deleted")]
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
