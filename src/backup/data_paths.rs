//! Paths of the data of a server or a backup.

use std::path::{Component, Path, PathBuf};

use super::Error;
use crate::config::{Config, SqliteUrl};

/// Subfolders of the folder of files.
pub(super) const FOLDERS: [&str; 4] = ["uploads", "unfinished", "work", "results"];

const STORE: &str = "pausa.db";
const CATALOG: &str = "datasets.db";
const SEGMENTS: &str = "datasets.db-segments";
const FILES: &str = "files";

/// Paths of the task store, the catalog and the files.
#[derive(Clone, Debug)]
pub struct DataPaths {
    /// Task store.
    pub store: PathBuf,
    /// Catalog of the datasets.
    pub catalog: PathBuf,
    /// Folder of uploads, working files and results.
    pub files: PathBuf,
}

impl DataPaths {
    /// Returns the paths of a server with these settings.
    ///
    /// # Errors
    /// [`Error::Postgres`], [`Error::NoFile`] and [`Error::Bucket`]: only files can be copied.
    pub fn of(config: &Config) -> Result<DataPaths, Error> {
        let store = file(&config.store_url(), "the task store (database_url)")?;
        if let Some(bucket) = &config.files_bucket {
            return Err(Error::Bucket(bucket.to_string()));
        }
        let catalog = file(&config.datasets_url(), "the database of the datasets (datasets_url)")?;
        Ok(DataPaths { store, catalog, files: config.files() })
    }

    /// Returns the paths of a backup in `folder`, which has the layout of a data folder.
    pub fn in_folder(folder: &Path) -> DataPaths {
        DataPaths { store: folder.join(STORE), catalog: folder.join(CATALOG), files: folder.join(FILES) }
    }

    /// Returns the folder of the segments, beside the catalog.
    pub fn segments(&self) -> PathBuf {
        let mut folder = self.catalog.as_os_str().to_owned();
        folder.push("-segments");
        PathBuf::from(folder)
    }

    /// Returns the lock file beside the store.
    pub fn lock(&self) -> PathBuf {
        self.store.with_extension("lock")
    }

    /// Returns the path of the store while it is being restored.
    pub(super) fn unfinished_store(&self) -> PathBuf {
        let mut path = self.store.as_os_str().to_owned();
        path.push(".restoring");
        PathBuf::from(path)
    }

    /// Returns the target of a file of a backup by its path in the backup. None if the path is not part of a backup.
    pub(super) fn target(&self, name: &str) -> Option<PathBuf> {
        let path = Path::new(name);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        match name {
            STORE => Some(self.unfinished_store()),
            CATALOG => Some(self.catalog.clone()),
            _ => {
                let below = |folder: &str| path.strip_prefix(folder).ok();
                let segment = below(SEGMENTS).map(|rest| self.segments().join(rest));
                segment.or_else(|| below(FILES).map(|rest| self.files.join(rest)))
            }
        }
    }
}

fn file(url: &str, what: &'static str) -> Result<PathBuf, Error> {
    let url = SqliteUrl::parse(url).ok_or(Error::Postgres(what))?;
    url.path.ok_or(Error::NoFile(what))
}
