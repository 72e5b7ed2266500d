//! Completes and checks a copy by its own databases: every finished task has its file, every dataset its segments.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::copying::{files_below, open};
use super::error::{at, in_database};
use super::{DataPaths, Error};
use crate::disk::folder_of;

const RESULTS: &str = "SELECT id, result_size FROM tasks WHERE state = 'COMPLETED' AND result_name IS NOT NULL";
const FINISHING: &str = "SELECT id, result_sha256 FROM tasks WHERE state = 'FINISHING' AND result_name IS NOT NULL";
const UPLOADS: &str = "SELECT id, size FROM uploads WHERE sha256 IS NOT NULL";
const SEGMENTS: &str = "SELECT segment FROM dataset_part UNION SELECT segment FROM pin_part";
const PUBLISHED: &str = "SELECT segment FROM dataset_part UNION SELECT segment FROM pin_part UNION
    SELECT segment FROM garbage";

/// Returns the segments that are not stagings. They never change.
pub(super) fn published(catalog: &Connection, path: &Path) -> Result<HashSet<String>, Error> {
    Ok(rows(catalog, path, PUBLISHED, |row| row.get(0))?.into_iter().collect())
}

/// Deletes files that the databases of the copy do not name. Returns the paths that they name and that the copy lacks.
pub(super) fn settle(copy: &DataPaths) -> Result<Vec<PathBuf>, Error> {
    let store = open(&copy.store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let catalog = open(&copy.catalog, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    delete_unknown(&copy.files.join("results"), &ids(&store, &copy.store, "SELECT id FROM tasks")?)?;
    delete_unknown(&copy.files.join("uploads"), &ids(&store, &copy.store, "SELECT id FROM uploads")?)?;
    let needed = ids(&catalog, &copy.catalog, SEGMENTS)?;
    let garbage: HashSet<_> =
        published(&catalog, &copy.catalog)?.into_iter().filter(|id| !needed.contains(id)).collect();
    for id in garbage {
        remove(&copy.segments().join(format!("{id}.db")))?;
    }
    lacking(copy, &store, &needed)
}

fn lacking(copy: &DataPaths, store: &Connection, segments: &HashSet<String>) -> Result<Vec<PathBuf>, Error> {
    let sized = |sql: &str| rows(store, &copy.store, sql, |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
    let mut lacking = Vec::new();
    for (folder, sql) in [("results", RESULTS), ("uploads", UPLOADS)] {
        let files = sized(sql)?.into_iter().map(|(id, size)| (copy.files.join(folder).join(id), size));
        let is_complete =
            |path: &Path, size: i64| fs::metadata(path).is_ok_and(|file| file.len() == size.unsigned_abs());
        lacking.extend(files.filter(|(path, size)| !is_complete(path, *size)).map(|(path, _)| path));
    }
    let finishing =
        rows(store, &copy.store, FINISHING, |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for (id, sha256) in finishing {
        let work = copy.files.join("work").join(&id).join(sha256);
        if !work.exists() && !copy.files.join("results").join(id).exists() {
            lacking.push(work);
        }
    }
    let segments = segments.iter().map(|id| copy.segments().join(format!("{id}.db")));
    lacking.extend(segments.filter(|path| !path.exists()));
    Ok(lacking)
}

/// Runs SQLite's check on every database of the copy.
pub(super) fn check(copy: &DataPaths) -> Result<(), Error> {
    let segments = files_below(&copy.segments())?;
    for path in segments.iter().chain([&copy.store, &copy.catalog]) {
        let database = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let result = database.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        let problem = result.map_or_else(|error| error.to_string(), |result| result.replace('\n', " "));
        if problem != "ok" {
            // The copy will be deleted, so the error names the path as on the server.
            let path = path.strip_prefix(folder_of(&copy.store)).unwrap_or(path).to_owned();
            return Err(Error::Damaged { path, problem });
        }
    }
    Ok(())
}

fn delete_unknown(folder: &Path, known: &HashSet<String>) -> Result<(), Error> {
    for path in files_below(folder)? {
        if !path.file_name().and_then(|name| name.to_str()).is_some_and(|name| known.contains(name)) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn ids(database: &Connection, path: &Path, sql: &str) -> Result<HashSet<String>, Error> {
    Ok(rows(database, path, sql, |row| row.get(0))?.into_iter().collect())
}

fn rows<T>(
    database: &Connection,
    path: &Path,
    sql: &str,
    read: impl Fn(&rusqlite::Row) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Error> {
    let mut statement = database.prepare(sql).map_err(in_database(path))?;
    let found = statement.query_map([], read).map_err(in_database(path))?;
    found.collect::<Result<_, _>>().map_err(in_database(path))
}
