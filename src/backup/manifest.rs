//! The manifest of a backup: its files with sizes and hashes. It is written last.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::copying::{files_below, open};
use super::error::{at, in_database};
use super::{DataPaths, Error, StopFlag};
use crate::disk::{self, NameSync};
use crate::files::hex;

/// File name.
pub(super) const NAME: &str = "manifest.json";

/// Layout that this version writes and reads.
const FORMAT: u32 = 1;

/// Bytes per read.
const CHUNK: usize = 1 << 20;

/// Content of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout of the folder.
    pub format: u32,
    /// Version of Pausa that created it.
    pub pausa: String,
    /// Last migration of the task store.
    pub schema: i64,
    /// Time of the state that it contains.
    pub taken_at: Timestamp,
    /// Number of tasks.
    pub tasks: u64,
    /// Number of datasets.
    pub datasets: u64,
    /// Files that the databases name and that are missing on the server.
    pub missing: Vec<String>,
    /// All other files of the backup.
    pub files: Vec<ManifestFile>,
}

/// A file of the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Path in the backup.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, lowercase hex.
    pub sha256: String,
    /// Time of its last change, in nanoseconds since 1970.
    pub modified: u64,
}

impl Manifest {
    /// Describes the copy in `folder`, and syncs its files.
    pub(super) fn of(
        folder: &Path,
        at_time: Timestamp,
        missing: Vec<String>,
        stop: &StopFlag,
    ) -> Result<Manifest, Error> {
        let copy = DataPaths::in_folder(folder);
        let store = open(&copy.store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let catalog = open(&copy.catalog, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let schema = number(&store, &copy.store, "SELECT coalesce(max(version), 0) FROM _sqlx_migrations")?;
        let tasks = number(&store, &copy.store, "SELECT count(*) FROM tasks")?.unsigned_abs();
        let datasets = number(&catalog, &copy.catalog, "SELECT count(*) FROM dataset")?.unsigned_abs();
        let mut files = Vec::new();
        for path in files_below(folder)? {
            let file = File::open(&path).map_err(at(&path))?;
            file.sync_all().map_err(at(&path))?;
            let (size, sha256) = hashed(&file, &path, stop)?;
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let modified = file.metadata().and_then(|known| known.modified()).map_err(at(&path))?;
            let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
            let modified = u64::try_from(modified).unwrap_or(u64::MAX);
            files.push(ManifestFile { path: name, size, sha256, modified });
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let pausa = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Manifest { format: FORMAT, pausa, schema, taken_at: at_time, tasks, datasets, missing, files })
    }

    /// Writes the manifest to the folder that it describes.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(NAME);
        let text = serde_json::to_vec_pretty(self).map_err(|error| at(&path)(error.into()))?;
        disk::write_atomically(&path, &text, NameSync::Now).map_err(at(&path))
    }

    /// Reads the manifest of a backup. Fails if this version cannot read its layout.
    pub(super) fn read(folder: &Path) -> Result<Manifest, Error> {
        let path = folder.join(NAME);
        let wrong = |problem: String| Error::Manifest { path: path.clone(), problem };
        let text = fs::read(&path).map_err(|error| wrong(format!("{error}: the folder is not a complete backup")))?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if manifest.format != FORMAT {
            let (found, version) = (manifest.format, &manifest.pausa);
            return Err(wrong(format!(
                "format {found}, created by Pausa {version}; this version reads format {FORMAT}"
            )));
        }
        Ok(manifest)
    }

    /// Returns the size of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// Returns size and SHA-256 of the rest of a file.
pub(super) fn hashed(mut file: &File, path: &Path, stop: &StopFlag) -> Result<(u64, String), Error> {
    let (mut hash, mut size, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        stop.check()?;
        match file.read(&mut chunk).map_err(at(path))? {
            0 => return Ok((size, hex(&hash.finalize()))),
            read => {
                hash.update(&chunk[..read]);
                size += read as u64;
            }
        }
    }
}

fn number(connection: &Connection, path: &Path, sql: &str) -> Result<i64, Error> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(in_database(path))
}
