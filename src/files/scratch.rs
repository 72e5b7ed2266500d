//! Working files of runs: one folder for each task, on this machine.
//!
//! Another node never needs them for correctness. A run that finds its folder empty starts over or fetches again. Import copies
//! of remote and decoded files, the file of an export under construction and the finished parts of a pi computation are here.
//! The folder may be inside a shared folder of files; then all nodes see the same working files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use super::folder_marker::FolderMarker;
use crate::disk::{self, NameSync};
use crate::spawn::spawn_blocking;
use crate::task::TaskId;

/// The folder of all tasks' working files. Clones share it.
#[derive(Clone, Debug)]
pub struct Scratch {
    root: Arc<PathBuf>,
    /// Marker of the shared folder that contains this one. None if the folder belongs to this node only.
    marker: Option<FolderMarker>,
}

/// The working files of one task, by name. The folder is created by the first write. All methods block.
#[derive(Clone, Debug)]
pub struct TaskScratch {
    root: Arc<PathBuf>,
    marker: Option<FolderMarker>,
    folder: PathBuf,
}

impl Scratch {
    pub(super) async fn open(root: PathBuf, marker: Option<FolderMarker>) -> io::Result<Scratch> {
        tokio::fs::create_dir_all(&root).await?;
        Ok(Scratch { root: Arc::new(root), marker })
    }

    /// Returns the working files of a task.
    pub fn of(&self, task: TaskId) -> TaskScratch {
        let folder = self.root.join(task.to_string());
        TaskScratch { root: Arc::clone(&self.root), marker: self.marker.clone(), folder }
    }

    /// Deletes the working files of a task. Idempotent.
    pub async fn clear(&self, task: TaskId) -> io::Result<()> {
        let folder = self.of(task).folder;
        spawn_blocking(move || disk::remove_folder(&folder)).await??;
        Ok(())
    }

    /// Returns true if every node sees these working files.
    pub fn is_shared(&self) -> bool {
        self.marker.is_some()
    }

    /// Returns the tasks that have working files here.
    pub async fn tasks(&self) -> io::Result<Vec<TaskId>> {
        let root = Arc::clone(&self.root);
        let listed = spawn_blocking(move || {
            let names = fs::read_dir(root.as_path())?.map(|entry| Ok(entry?.file_name()));
            names.collect::<io::Result<Vec<_>>>()
        });
        Ok(listed.await??.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// Returns free and total bytes of the disk.
    ///
    /// # Errors
    /// If the disk does not answer.
    pub fn space(&self) -> io::Result<(u64, u64)> {
        let disk = rustix::fs::statvfs(self.root.as_path())?;
        Ok((disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))
    }
}

impl TaskScratch {
    /// Opens a file for reading and writing, and creates it if it is missing.
    pub fn open(&self, name: &str) -> io::Result<File> {
        self.create_folder()?;
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.path(name));
        opened.map_err(|error| self.explain(error))
    }

    /// Creates an empty file for writing, in place of an existing one.
    pub fn create(&self, name: &str) -> io::Result<File> {
        self.create_folder()?;
        File::create(self.path(name)).map_err(|error| self.explain(error))
    }

    /// Writes a small file atomically. See [`disk::write_atomically`].
    pub fn write(&self, name: &str, bytes: &[u8], sync: NameSync) -> io::Result<()> {
        self.create_folder()?;
        disk::write_atomically(&self.path(name), bytes, sync).map_err(|error| self.explain(error))
    }

    /// Reads a small file. `None` if it is missing.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)).map_err(|error| self.explain(error)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a file. Idempotent.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        disk::remove_file(&self.path(name)).map(drop)
    }

    /// Returns the names of all files.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn explain(&self, error: io::Error) -> io::Error {
        match &self.marker {
            Some(marker) => marker.explain(error),
            None => error,
        }
    }

    fn create_folder(&self) -> io::Result<()> {
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(self.explain(error)),
            Ok(()) => disk::sync_folder(&self.root),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn files_are_kept_until_the_task_is_cleared() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(root.path().join("work"), None).await.unwrap();
        let id = "01900000-0000-7000-8000-000000000001".parse().unwrap();
        let files = scratch.of(id);
        assert_eq!((files.read("a").unwrap(), files.names().unwrap().len()), (None, 0));
        files.remove("a").unwrap();
        files.write("a", b"small", NameSync::Now).unwrap();
        files.create("b").unwrap().write_all(b"text").unwrap();
        assert_eq!(files.open("b").unwrap().metadata().unwrap().len(), 4, "opening keeps the content");
        assert_eq!(scratch.of(id).read("a").unwrap().as_deref(), Some(&b"small"[..]));
        files.remove("b").unwrap();
        assert_eq!(files.names().unwrap(), ["a"]);
        assert_eq!(scratch.tasks().await.unwrap(), [id]);
        scratch.clear(id).await.unwrap();
        scratch.clear(id).await.unwrap();
        assert_eq!(files.read("a").unwrap(), None);
        assert!(scratch.space().unwrap().0 > 0);
    }
}
