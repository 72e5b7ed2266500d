//! An upload that arrives in parts, as a file that grows. Its length is the offset of the upload, so it resumes after any
//! interruption.
//!
//! The file is `unfinished/ID` until it is complete; then it is renamed to `uploads/ID`. Its SHA-256 is computed as it arrives, and
//! saved beside the file between two parts ([`HashState`]). If the saved state is missing, or a crash came before it was written,
//! the file is read once at the end.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::fs;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::blocking::blocking;
use super::hash_state::HashState;
use super::{ResumableUpload, UploadOutcome};
use crate::disk;
use crate::files::Fingerprint;

/// Bytes per write to the file.
const BUFFER: usize = 256 * 1024;

/// The file of an upload, locked by this process.
pub(super) struct AppendedFile {
    path: PathBuf,
    complete: PathBuf,
    file: BufWriter<fs::File>,
    size: u64,
    hash: HashState,
}

impl AppendedFile {
    /// Opens or creates the file at `path`, or the one at `complete`. `None` while another process writes to it.
    pub(super) async fn open(path: PathBuf, complete: PathBuf) -> io::Result<Option<AppendedFile>> {
        let opened = blocking(move || {
            let (path, file) = open(path, &complete)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let size = file.metadata()?.len();
            let hash = HashState::load(&note_of(&path), size);
            Ok(Some((path, complete, file, size, hash)))
        });
        let Some((path, complete, file, size, hash)) = opened.await? else { return Ok(None) };
        let file = BufWriter::with_capacity(BUFFER, fs::File::from_std(file));
        Ok(Some(AppendedFile { path, complete, file, size, hash }))
    }

    fn is_complete(&self) -> bool {
        self.path == self.complete
    }

    async fn rename_to_complete(&mut self) -> io::Result<()> {
        let (from, to) = (self.path.clone(), self.complete.clone());
        let renamed = blocking(move || {
            disk::rename_durably(&from, &to)?;
            disk::remove_file(&note_of(&from)).map(drop)
        });
        renamed.await?;
        self.path = self.complete.clone();
        Ok(())
    }
}

#[async_trait]
impl ResumableUpload for AppendedFile {
    fn size(&self) -> u64 {
        self.size
    }

    async fn write(&mut self, bytes: &[u8], limit: u64) -> io::Result<UploadOutcome> {
        let left = usize::try_from(limit.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(left)];
        self.file.write_all(taken).await?;
        if self.hash.bytes() == self.size {
            self.hash.update(taken);
        }
        self.size += taken.len() as u64;
        Ok(if taken.len() == bytes.len() { UploadOutcome::Taken } else { UploadOutcome::TooLarge })
    }

    async fn sync(&mut self) -> io::Result<u64> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        if !self.is_complete() {
            self.hash.save(&note_of(&self.path)).await;
        }
        Ok(self.size)
    }

    async fn finish(&mut self) -> io::Result<Fingerprint> {
        self.sync().await?;
        let (path, hash) = (self.path.clone(), self.hash.clone());
        // Bytes that arrived before a crash may be in the file but not in the hash.
        self.hash = blocking(move || hash.read_to_end(&path)).await?;
        if !self.is_complete() {
            self.rename_to_complete().await?;
        }
        Ok(Fingerprint { size: self.size, sha256: self.hash.sha256() })
    }
}

/// Opens the unfinished file, or the complete one if a crash came before the task store knew that, or creates the unfinished one.
fn open(path: PathBuf, complete: &Path) -> io::Result<(PathBuf, File)> {
    let append = |path: &Path| OpenOptions::new().read(true).append(true).open(path);
    match append(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return Ok((path, other?)),
    }
    match append(complete) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return Ok((complete.to_owned(), other?)),
    }
    let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
    disk::sync_folder(disk::folder_of(&path))?;
    Ok((path, file))
}

/// Returns the path of the saved hash state.
pub(super) fn note_of(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::files::hex;

    struct UploadFolder(tempfile::TempDir);

    impl UploadFolder {
        fn new() -> UploadFolder {
            UploadFolder(tempfile::tempdir().unwrap())
        }

        async fn open(&self) -> Option<AppendedFile> {
            AppendedFile::open(self.0.path().join("part"), self.0.path().join("complete")).await.unwrap()
        }
    }

    fn fingerprint(bytes: &[u8]) -> Fingerprint {
        Fingerprint { size: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
    }

    #[tokio::test]
    async fn the_hash_is_right_if_its_saved_state_is_missing_torn_or_behind_the_file() {
        for lost in ["", "missing", "torn", "behind"] {
            let folder = UploadFolder::new();
            let mut first = folder.open().await.unwrap();
            first.write(b"first,", 100).await.unwrap();
            assert_eq!(first.sync().await.unwrap(), 6);
            drop(first);
            let note = folder.0.path().join("part.sha256");
            match lost {
                "missing" => std::fs::remove_file(note).unwrap(),
                "torn" => std::fs::write(&note, &std::fs::read(&note).unwrap()[..60]).unwrap(),
                "behind" => {
                    // The process was killed after the write, before the state was saved.
                    let mut file = OpenOptions::new().append(true).open(folder.0.path().join("part")).unwrap();
                    io::Write::write_all(&mut file, b"more,").unwrap();
                }
                _ => {}
            }
            let mut second = folder.open().await.unwrap();
            second.write(b"second", 100).await.unwrap();
            let complete = second.finish().await.unwrap();
            let bytes = std::fs::read(folder.0.path().join("complete")).unwrap();
            assert_eq!(complete, fingerprint(&bytes), "{lost}");
            assert_eq!(bytes, if lost == "behind" { &b"first,more,second"[..] } else { b"first,second" });
            assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 1, "only the complete file is left");
        }
    }

    #[tokio::test]
    async fn a_file_that_was_renamed_before_a_crash_is_finished_again() {
        let folder = UploadFolder::new();
        std::fs::write(folder.0.path().join("complete"), "all").unwrap();
        let mut upload = folder.open().await.unwrap();
        assert_eq!(upload.size(), 3);
        assert_eq!(upload.finish().await.unwrap(), fingerprint(b"all"));
    }

    #[tokio::test]
    async fn one_process_writes_at_a_time_and_not_beyond_the_limit() {
        let folder = UploadFolder::new();
        let mut upload = folder.open().await.unwrap();
        assert!(folder.open().await.is_none());
        assert_eq!(upload.write(b"12345", 4).await.unwrap(), UploadOutcome::TooLarge);
        assert_eq!(upload.sync().await.unwrap(), 4);
        assert_eq!(std::fs::read(folder.0.path().join("part")).unwrap(), b"1234");
    }
}
