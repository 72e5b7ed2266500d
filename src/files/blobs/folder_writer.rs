//! Writing an upload that arrives as one stream to a file: counted and hashed on the way.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::blocking::blocking;
use super::{BlobWriter, UploadOutcome};
use crate::disk;
use crate::files::{Fingerprint, hex};

/// Bytes per write to the file.
const BUFFER: usize = 256 * 1024;

/// A file that becomes an upload when it is complete.
pub(super) struct FileWriter {
    part: PathBuf,
    path: PathBuf,
    file: BufWriter<fs::File>,
    hash: Sha256,
    size: u64,
    limit: u64,
}

impl FileWriter {
    /// Creates `part`, which must not exist; it is renamed to `path` at the end.
    pub(super) async fn create(part: PathBuf, path: PathBuf, limit: u64) -> io::Result<FileWriter> {
        let file = BufWriter::with_capacity(BUFFER, fs::File::create_new(&part).await?);
        Ok(FileWriter { part, path, file, hash: Sha256::new(), size: 0, limit })
    }
}

#[async_trait]
impl BlobWriter for FileWriter {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<UploadOutcome> {
        let size = self.size + bytes.len() as u64;
        if size > self.limit {
            return Ok(UploadOutcome::TooLarge);
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).await?;
        self.size = size;
        Ok(UploadOutcome::Taken)
    }

    async fn finish(mut self: Box<Self>) -> io::Result<Fingerprint> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        let FileWriter { part, path, hash, size, .. } = *self;
        blocking(move || disk::rename_durably(&part, &path)).await?;
        Ok(Fingerprint { size, sha256: hex(&hash.finalize()) })
    }

    async fn abandon(self: Box<Self>) -> io::Result<()> {
        let FileWriter { part, file, .. } = *self;
        drop(file);
        blocking(move || disk::remove_file(&part).map(drop)).await
    }
}
