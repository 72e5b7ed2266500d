//! Files that clients sent, files that tasks work on, and results: in one folder of the local disk.
//!
//! What is acknowledged is on disk: a file is written under another name, synced, and renamed.

mod part;
mod reading;
mod upload;
mod upload_locks;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::AsyncReadExt;

pub use part::Part;
pub use reading::Reading;
pub use upload::{Incoming, Received};
pub use upload_locks::{UploadLock, UploadLocks};

use crate::disk;
use crate::task::TaskId;

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

/// The folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Files {
    root: Arc<Path>,
}

/// What a whole file is told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Files {
    /// Opens the folder, makes what is missing, and removes unfinished uploads that nobody wrote to since `abandoned`.
    pub async fn open(root: &Path, abandoned: Timestamp) -> io::Result<Files> {
        let files = Files { root: root.into() };
        for folder in ["uploads", "unfinished", "work", "results"] {
            fs::create_dir_all(root.join(folder)).await?;
        }
        let mut entries = fs::read_dir(root.join("uploads")).await?;
        while let Some(entry) = entries.next_entry().await? {
            let part = entry.path().extension().is_some_and(|extension| extension == "part");
            if part && Timestamp::try_from(entry.metadata().await?.modified()?).is_ok_and(|at| at < abandoned) {
                gone(fs::remove_file(entry.path()).await)?;
            }
        }
        Ok(files)
    }

    /// The bytes that are free on the disk of the folder, and all that it holds.
    ///
    /// # Errors
    /// If the disk does not answer.
    pub fn space(&self) -> io::Result<(u64, u64)> {
        let disk = rustix::fs::statvfs(&*self.root)?;
        Ok((disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))
    }

    /// Where an upload lies.
    pub fn upload(&self, id: &str) -> PathBuf {
        self.root.join("uploads").join(id)
    }

    /// Begins an upload of at most `limit` bytes.
    pub async fn receive(&self, id: &str, limit: u64) -> io::Result<Incoming> {
        Incoming::begin(self.upload(id), limit).await
    }

    /// Opens an upload that comes in parts to go on with it; none where another process writes to it.
    pub async fn part(&self, id: &str) -> io::Result<Option<Part>> {
        Part::open(self.unfinished(id), self.upload(id)).await
    }

    /// The bytes that are there of an upload that comes in parts.
    pub async fn received(&self, id: &str) -> io::Result<u64> {
        match fs::metadata(self.unfinished(id)).await {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn unfinished(&self, id: &str) -> PathBuf {
        self.root.join("unfinished").join(id)
    }

    /// Deletes an upload, whole or not.
    pub async fn delete_upload(&self, id: &str) -> io::Result<()> {
        let unfinished = self.unfinished(id);
        for path in [self.upload(id), part::note(&unfinished), unfinished] {
            tokio::task::spawn_blocking(move || disk::remove_file(&path)).await??;
        }
        Ok(())
    }

    /// The ids of uploads, whole or not, that nobody wrote to since `before`.
    pub async fn old_uploads(&self, before: Timestamp) -> io::Result<Vec<String>> {
        let mut old = Vec::new();
        for folder in ["uploads", "unfinished"] {
            let mut entries = fs::read_dir(self.root.join(folder)).await?;
            while let Some(entry) = entries.next_entry().await? {
                let Ok(known) = entry.metadata().await else { continue };
                if Timestamp::try_from(known.modified()?).is_ok_and(|at| at < before) {
                    old.extend(entry.path().file_stem().and_then(|id| id.to_str()).map(str::to_owned));
                }
            }
        }
        Ok(old)
    }

    /// The folder in which a task keeps what it needs to go on; made where it is missing.
    pub async fn work(&self, task: TaskId) -> io::Result<PathBuf> {
        let folder = self.root.join("work").join(task.to_string());
        if !fs::try_exists(&folder).await? {
            fs::create_dir_all(&folder).await?;
            sync_folder(&self.root.join("work")).await?;
        }
        Ok(folder)
    }

    /// Deletes a task's folder and what is in it.
    pub async fn clear_work(&self, task: TaskId) -> io::Result<()> {
        let folder = self.root.join("work").join(task.to_string());
        tokio::task::spawn_blocking(move || disk::remove_folder(&folder)).await??;
        Ok(())
    }

    /// Where a task's result lies once it is published.
    pub fn result(&self, task: TaskId) -> PathBuf {
        self.root.join("results").join(task.to_string())
    }

    /// Seals a finished file of the task's folder: it is on disk for good, under the name of its content. So a run that
    /// lost its lease and writes on writes to another name.
    pub async fn seal(&self, task: TaskId, file: &Path) -> io::Result<Fingerprint> {
        let sealed = fingerprint(file).await?;
        self.seal_known(task, file, &sealed).await?;
        Ok(sealed)
    }

    /// The same for a file that is known: it was hashed as it was written.
    pub async fn seal_known(&self, task: TaskId, file: &Path, known: &Fingerprint) -> io::Result<()> {
        fs::File::open(file).await?.sync_all().await?;
        let folder = self.work(task).await?;
        fs::rename(file, folder.join(&known.sha256)).await?;
        sync_folder(&folder).await
    }

    /// Makes a sealed file the task's result, and clears its folder. Doing it twice is fine.
    pub async fn publish(&self, task: TaskId, sha256: &str) -> io::Result<()> {
        let (sealed, result) = (self.work(task).await?.join(sha256), self.result(task));
        if fs::try_exists(&sealed).await? {
            fs::rename(&sealed, &result).await?;
            sync_folder(&self.root.join("results")).await?;
        } else if !fs::try_exists(&result).await? {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the finished file is gone"));
        }
        self.clear_work(task).await
    }

    /// Deletes a task's result.
    pub async fn delete_result(&self, task: TaskId) -> io::Result<()> {
        let result = self.result(task);
        tokio::task::spawn_blocking(move || disk::remove_file(&result)).await??;
        Ok(())
    }
}

/// Size and SHA-256 of a file.
async fn fingerprint(path: &Path) -> io::Result<Fingerprint> {
    let mut file = fs::File::open(path).await?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Ok(Fingerprint { size, sha256: hex(&hash.finalize()) });
        }
        hash.update(&chunk[..read]);
        size += read as u64;
    }
}

/// Writes a small file so that it is there whole or not at all.
pub async fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A name of its own: a run that lost its lease may be writing the same file.
    let part = path.with_extension(format!("{}.part", uuid::Uuid::new_v4().simple()));
    fs::write(&part, bytes).await?;
    fs::File::open(&part).await?.sync_all().await?;
    fs::rename(&part, path).await?;
    sync_folder(path.parent().unwrap_or(Path::new("."))).await
}

async fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder).await?.sync_all().await
}

/// Deleting what is not there is done already.
fn gone(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
