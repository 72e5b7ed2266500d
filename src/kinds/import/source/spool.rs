//! A file in the task's folder that is read while it grows.
//!
//! Bytes may be read once they are on disk, so the cursor of an import never points beyond what a crash leaves. A mark beside the file
//! has their number. The name of the file depends on its content: a run that lost its lease and still writes, writes the same
//! bytes to the same positions.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::super::spec::FileIdentity;
use super::growing::GrowingFile;
use crate::disk::NameSync;
use crate::files::TaskScratch;
use crate::runner::Failure;
use crate::task::Code;

/// Number of bytes that are written and synced at once. The first ones sooner, so that rows begin early.
pub const BATCH: usize = 4 << 20;
const FIRST_BATCH: usize = 256 * 1024;

/// A growing file.
pub struct Spool {
    file: File,
    input: GrowingFile,
    scratch: TaskScratch,
    mark_file: String,
    /// Number of bytes on disk, and number of bytes received, with those that existed already.
    synced: u64,
    received: u64,
    pending: Vec<u8>,
    limit: u64,
}

/// State of the file on disk.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct SpoolMark {
    length: u64,
    #[serde(rename = "whole")]
    complete: bool,
}

impl Spool {
    /// Opens the file `name` for the content of `identity`, with the bytes that exist already. Its maximum size is `limit` bytes.
    pub fn open(scratch: &TaskScratch, name: &str, identity: &FileIdentity, limit: u64) -> Result<Spool, Failure> {
        let name = format!("{name}-{}", name_of(identity));
        let mark_file = format!("{name}.mark");
        let file = scratch.open(&name).map_err(|error| io_failure(&error))?;
        let length = file.metadata().map_err(|error| io_failure(&error))?.len();
        let marked = scratch.read(&mark_file).ok().flatten().and_then(|text| serde_json::from_slice(&text).ok());
        let mark: SpoolMark = marked.filter(|mark: &SpoolMark| mark.length <= length).unwrap_or_default();
        let readable = file.try_clone().map_err(|error| io_failure(&error))?;
        let input = GrowingFile::partial(readable, mark.length);
        if mark.complete {
            input.finish();
        }
        Ok(Spool {
            file,
            input,
            scratch: scratch.clone(),
            mark_file,
            synced: mark.length,
            received: 0,
            pending: Vec::new(),
            limit,
        })
    }

    /// Returns the file that is read while it grows.
    pub fn input(&self) -> &GrowingFile {
        &self.input
    }

    /// Returns the number of bytes on disk.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Returns the number of bytes received, with those that existed already.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Sets the position of the next bytes: within those on disk, or at their end.
    pub fn resume_at(&mut self, at: u64) {
        self.pending.clear();
        self.received = at.min(self.synced);
    }

    /// Returns true if the file has other bytes than `bytes` at this position. Bytes beyond its end do not differ.
    pub fn differs(&self, bytes: &[u8]) -> Result<bool, Failure> {
        let mut existing = vec![0; bytes.len()];
        let mut read = 0;
        while read < existing.len() {
            match self.file.read_at(&mut existing[read..], self.received + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) => return Err(io_failure(&error)),
            }
        }
        Ok(existing[..read] != bytes[..read])
    }

    /// Adds the next bytes. Full batches go to disk.
    ///
    /// # Errors
    /// `TOO_LARGE` beyond the limit, or a full disk.
    pub fn push(&mut self, bytes: &[u8], expected: Option<u64>) -> Result<(), Failure> {
        let known = usize::try_from(self.synced.saturating_sub(self.received)).unwrap_or(usize::MAX).min(bytes.len());
        self.received += bytes.len() as u64;
        if self.received > self.limit {
            return Err(too_large(self.limit));
        }
        self.pending.extend_from_slice(&bytes[known..]);
        let batch = usize::try_from(self.synced).unwrap_or(BATCH).clamp(FIRST_BATCH, BATCH);
        if self.pending.len() >= batch { self.flush(expected) } else { Ok(()) }
    }

    /// Writes all received bytes to disk, and allows reading them.
    pub fn flush(&mut self, expected: Option<u64>) -> Result<(), Failure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all_at(&self.pending, self.synced).and_then(|()| self.file.sync_data());
        written.map_err(|error| io_failure(&error))?;
        self.synced += self.pending.len() as u64;
        self.pending.clear();
        self.write_mark(false)?;
        self.input.grow(self.synced, expected);
        Ok(())
    }

    /// Marks the file as complete.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.flush(None)?;
        self.write_mark(true)?;
        self.input.finish();
        Ok(())
    }

    fn write_mark(&self, complete: bool) -> Result<(), Failure> {
        let mark = SpoolMark { length: self.synced, complete };
        put(&self.scratch, &self.mark_file, &mark).map_err(|error| io_failure(&error))
    }
}

/// Writes a small file atomically. After a power loss it may be an older one.
pub fn put<T: Serialize>(scratch: &TaskScratch, name: &str, value: &T) -> io::Result<()> {
    scratch.write(name, &serde_json::to_vec(value)?, NameSync::Later)
}

/// Returns the failure of a file that exceeds the limit.
pub fn too_large(limit: u64) -> Failure {
    Failure::permanent(
        Code::TooLarge,
        format!("The file is larger than {limit} bytes, the limit of this server (PAUSA_MAX_UPLOAD_BYTES)."),
    )
}

/// Returns the failure of reading or writing the copy.
pub fn io_failure(error: &io::Error) -> Failure {
    Failure::io("the copy of the file", error)
}

/// Returns a short name of an identity.
fn name_of(identity: &FileIdentity) -> String {
    use sha2::Digest;
    let text = format!("{} {} {}", identity.size, identity.modified, identity.version.as_deref().unwrap_or_default());
    crate::files::hex(&sha2::Sha256::digest(text)[..8])
}
