//! A result that grows as a working file. Only what is synced counts as written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::blocking::blocking;
use super::hash_state::HashState;
use super::result_writer::{ResultWriter, WrittenResult};
use crate::disk;
use crate::files::{Fingerprint, TaskScratch};

/// Name of the working file.
const FILE: &str = "result";

/// Bytes after which the file is synced.
const SYNC: u64 = 8 << 20;

/// The file of a result, open for one run.
pub(super) struct GrowingResultFile {
    file: Arc<File>,
    path: PathBuf,
    hash: HashState,
    synced: u64,
}

impl GrowingResultFile {
    /// Opens the file after what is `written`. Does not truncate what a crash left after that: the same bytes overwrite it, so that a
    /// run that lost its lease does no harm. `None` if the file is shorter.
    pub(super) async fn open(
        scratch: &TaskScratch,
        written: Option<&WrittenResult>,
    ) -> io::Result<Option<GrowingResultFile>> {
        let (scratch, size) = (scratch.clone(), written.map_or(0, |written| written.size));
        let hash = written.map_or_else(|| Some(HashState::default()), |written| HashState::parse(&written.hash));
        let Some(hash) = hash.filter(|hash| hash.bytes() == size) else { return Ok(None) };
        let (file, found) = blocking(move || {
            let file = scratch.open(FILE)?;
            let found = file.metadata()?.len();
            Ok(((file, scratch.path(FILE)), found))
        })
        .await?;
        let (file, path) = file;
        let opened = GrowingResultFile { file: Arc::new(file), path, hash, synced: size };
        Ok(Some(opened).filter(|_| found >= size))
    }

    async fn on_file(&self, work: impl FnOnce(&File) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        blocking(move || work(&file)).await
    }
}

#[async_trait]
impl ResultWriter for GrowingResultFile {
    fn size(&self) -> u64 {
        self.hash.bytes()
    }

    async fn write(&mut self, piece: Bytes) -> io::Result<Option<WrittenResult>> {
        let (at, bytes) = (self.size(), piece.clone());
        self.on_file(move |file| file.write_all_at(&bytes, at)).await?;
        self.hash.update(&piece);
        if self.size() - self.synced < SYNC {
            return Ok(None);
        }
        self.sync().await.map(Some)
    }

    async fn sync(&mut self) -> io::Result<WrittenResult> {
        if self.synced < self.size() {
            self.on_file(File::sync_data).await?;
            self.synced = self.size();
        }
        Ok(WrittenResult { size: self.synced, hash: self.hash.text(), object: None })
    }

    async fn finish(self: Box<Self>) -> io::Result<Fingerprint> {
        let (size, sha256) = (self.size(), self.hash.sha256());
        let (file, path, name) = (self.file, self.path, sha256.clone());
        blocking(move || {
            file.set_len(size)?;
            file.sync_all()?;
            stage(&path, &name)
        })
        .await?;
        Ok(Fingerprint { size, sha256 })
    }
}

/// Renames a finished working file of a task to its hash. It is a staged result then.
pub(super) fn stage(from: &Path, sha256: &str) -> io::Result<()> {
    disk::rename_durably(from, &from.with_file_name(sha256))
}
