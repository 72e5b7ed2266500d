//! Blobs in a folder: uploads in `uploads/ID`, results in `results/TASK`.
//!
//! Files that are not complete have other names: `uploads/ID.part` (one stream), `unfinished/ID` (in parts) and `work/TASK/SHA256`
//! (a staged result, in the folder of the run that made it). A file is synced, then renamed to its final name. A file that is
//! missing because the folder is not mounted is an unavailable folder ([`FolderMarker`]).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::fs;

use super::blocking::blocking;
use super::folder_reader::FileReader;
use super::folder_result::{GrowingResultFile, stage};
use super::folder_writer::FileWriter;
use super::resumable::{AppendedFile, note_of};
use super::{BlobName, BlobReader, BlobStore, BlobWriter, ResultWriter, ResumableUpload, WrittenResult};
use crate::disk::{self, NameSync};
use crate::files::folder_marker::FolderMarker;
use crate::files::{Fingerprint, TaskScratch};
use crate::task::TaskId;

/// Extension of an upload that arrives as one stream and is not complete.
const PART: &str = "part";

/// A folder of blobs. Clones share it.
#[derive(Clone, Debug)]
pub struct BlobFolder {
    root: Arc<Path>,
    marker: FolderMarker,
}

impl BlobFolder {
    /// Opens the folder and creates what is missing. Deletes incomplete streams that received no byte since `abandoned`.
    pub(in super::super) async fn open(
        root: &Path,
        marker: FolderMarker,
        abandoned: Timestamp,
    ) -> io::Result<BlobFolder> {
        let blobs = BlobFolder { root: root.into(), marker };
        for folder in ["uploads", "unfinished", "results"] {
            fs::create_dir_all(root.join(folder)).await?;
        }
        blobs.delete_incomplete(abandoned).await?;
        Ok(blobs)
    }

    fn path(&self, name: &BlobName) -> PathBuf {
        match name {
            BlobName::Upload(id) => self.root.join("uploads").join(id),
            BlobName::Result(task, _) => self.result(*task),
        }
    }

    fn result(&self, task: TaskId) -> PathBuf {
        self.root.join("results").join(task.to_string())
    }

    fn unfinished(&self, id: &str) -> PathBuf {
        self.root.join("unfinished").join(id)
    }

    fn staged(&self, task: TaskId, sha256: &str) -> PathBuf {
        self.root.join("work").join(task.to_string()).join(sha256)
    }

    fn kept(&self, task: TaskId, name: &str) -> PathBuf {
        self.root.join("work").join(task.to_string()).join("kept").join(name)
    }

    /// Returns the files of a folder and when each was last written to.
    async fn entries(&self, folder: &str) -> io::Result<Vec<(PathBuf, Timestamp)>> {
        let mut found = Vec::new();
        let mut entries = fs::read_dir(self.root.join(folder)).await.map_err(|error| self.marker.explain(error))?;
        while let Some(entry) = entries.next_entry().await? {
            // Another process may have deleted the file.
            let Ok(metadata) = entry.metadata().await else { continue };
            if let Ok(modified) = Timestamp::try_from(metadata.modified()?) {
                found.push((entry.path(), modified));
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl BlobStore for BlobFolder {
    async fn create_upload(&self, id: &str, limit: u64) -> io::Result<Box<dyn BlobWriter>> {
        let path = self.path(&BlobName::Upload(id.to_owned()));
        let created = FileWriter::create(path.with_extension(PART), path, limit).await;
        Ok(Box::new(created.map_err(|error| self.marker.explain(error))?))
    }

    async fn resume_upload(&self, id: &str) -> io::Result<Option<Box<dyn ResumableUpload>>> {
        let complete = self.path(&BlobName::Upload(id.to_owned()));
        let opened = AppendedFile::open(self.unfinished(id), complete).await;
        let opened = opened.map_err(|error| self.marker.explain(error))?;
        Ok(opened.map(|upload| Box::new(upload) as Box<dyn ResumableUpload>))
    }

    async fn received_bytes(&self, id: &str) -> io::Result<u64> {
        match fs::metadata(self.unfinished(id)).await.map_err(|error| self.marker.explain(error)) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn stage_result(
        &self,
        _: TaskId,
        scratch: &TaskScratch,
        file: &str,
        known: Option<Fingerprint>,
    ) -> io::Result<Fingerprint> {
        let from = scratch.path(file);
        let staged = blocking(move || {
            let file = File::open(&from)?;
            let fingerprint = known.map_or_else(|| Fingerprint::read(&file), Ok)?;
            file.sync_all()?;
            stage(&from, &fingerprint.sha256)?;
            Ok(fingerprint)
        });
        staged.await.map_err(|error| self.marker.explain(error))
    }

    async fn is_staged(&self, task: TaskId, result: &Fingerprint) -> io::Result<bool> {
        match fs::metadata(self.staged(task, &result.sha256)).await.map_err(|error| self.marker.explain(error)) {
            Ok(file) => Ok(file.len() == result.size),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write_result(
        &self,
        _: TaskId,
        scratch: &TaskScratch,
        written: Option<WrittenResult>,
    ) -> io::Result<Option<Box<dyn ResultWriter>>> {
        let opened = GrowingResultFile::open(scratch, written.as_ref()).await;
        let opened = opened.map_err(|error| self.marker.explain(error))?;
        Ok(opened.map(|file| Box::new(file) as Box<dyn ResultWriter>))
    }

    async fn publish_result(&self, task: TaskId, sha256: &str) -> io::Result<()> {
        let (staged, result) = (self.staged(task, sha256), self.result(task));
        blocking(move || publish(&staged, &result)).await.map_err(|error| self.marker.explain(error))
    }

    async fn open(&self, name: &BlobName) -> io::Result<Box<dyn BlobReader>> {
        let opened = FileReader::open(self.path(name)).await;
        Ok(Box::new(opened.map_err(|error| self.marker.explain(error))?))
    }

    async fn open_file(&self, name: &BlobName, _: &TaskScratch) -> io::Result<File> {
        let path = self.path(name);
        blocking(move || File::open(path)).await.map_err(|error| self.marker.explain(error))
    }

    async fn delete_upload(&self, id: &str) -> io::Result<()> {
        let unfinished = self.unfinished(id);
        let paths = [self.path(&BlobName::Upload(id.to_owned())), note_of(&unfinished), unfinished];
        blocking(move || paths.iter().try_for_each(|path| disk::remove_file(path).map(drop))).await
    }

    async fn delete_results(&self, task: TaskId) -> io::Result<()> {
        let (work, result) = (self.root.join("work").join(task.to_string()), self.result(task));
        blocking(move || {
            remove_staged(&work)?;
            disk::remove_file(&result).map(drop)
        })
        .await
    }

    async fn list_results(&self) -> io::Result<Vec<TaskId>> {
        let found = self.entries("results").await?;
        Ok(found.iter().filter_map(|(path, _)| path.file_name()?.to_str()?.parse().ok()).collect())
    }

    async fn delete_incomplete(&self, abandoned: Timestamp) -> io::Result<()> {
        for (path, modified) in self.entries("uploads").await? {
            if modified < abandoned && path.extension().is_some_and(|extension| extension == PART) {
                blocking(move || disk::remove_file(&path)).await?;
            }
        }
        Ok(())
    }

    async fn list_old_uploads(&self, before: Timestamp) -> io::Result<Vec<String>> {
        let mut old = Vec::new();
        for folder in ["uploads", "unfinished"] {
            for (path, modified) in self.entries(folder).await? {
                if modified < before {
                    old.extend(path.file_stem().and_then(|id| id.to_str()).map(str::to_owned));
                }
            }
        }
        Ok(old)
    }

    async fn keep_part(&self, task: TaskId, name: &str, bytes: Bytes) -> io::Result<()> {
        let (path, explained) = (self.kept(task, name), self.marker.clone());
        let kept = blocking(move || {
            let folder = disk::folder_of(&path);
            create_folder(disk::folder_of(folder))?;
            create_folder(folder)?;
            disk::write_atomically(&path, &bytes, NameSync::Now)
        });
        kept.await.map_err(|error| explained.explain(error))
    }

    async fn part(&self, task: TaskId, name: &str) -> io::Result<Option<Bytes>> {
        match fs::read(self.kept(task, name)).await.map_err(|error| self.marker.explain(error)) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete_part(&self, task: TaskId, name: &str) -> io::Result<()> {
        let path = self.kept(task, name);
        blocking(move || disk::remove_file(&path).map(drop)).await
    }

    async fn identity(&self) -> io::Result<Option<String>> {
        let marker = self.marker.clone();
        blocking(move || marker.read()).await
    }

    async fn claim_identity(&self, id: &str) -> io::Result<String> {
        let (marker, id) = (self.marker.clone(), id.to_owned());
        blocking(move || marker.claim(&id)).await
    }

    fn identity_place(&self) -> String {
        self.marker.place()
    }
}

/// Creates a folder unless it exists. Not those above: an unmounted folder stays empty.
fn create_folder(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

/// Renames the staged file, unless a call before a crash did, and deletes the other staged files.
fn publish(staged: &Path, result: &Path) -> io::Result<()> {
    // If a power loss restored the staged name too, it would go with the task's other files: its folder needs no sync.
    match std::fs::rename(staged, result) {
        Err(error) if error.kind() == ErrorKind::NotFound && result.try_exists()? => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(io::Error::new(ErrorKind::NotFound, "the finished file is missing"));
        }
        outcome => outcome?,
    }
    disk::sync_folder(disk::folder_of(result))?;
    remove_staged(disk::folder_of(staged))
}

/// Deletes staged results. Other working files of the task stay.
fn remove_staged(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.len() == 64 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit) {
            disk::remove_file(&entry.path())?;
        }
    }
    Ok(())
}
