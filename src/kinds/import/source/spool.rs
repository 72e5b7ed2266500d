//! A file of the task's folder that fills while it is read.
//!
//! Bytes may be read once they are on disk, so the cursor of an import never points behind what a crash leaves. How many
//! they are stands in a mark beside the file. A file's name tells what is in it: a run that lost its lease, and still
//! writes, writes the same bytes to the same places.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::spec::Identity;
use super::input::Input;
use crate::runner::Failure;
use crate::task::Code;

/// Bytes that are written and synced at once; the first ones sooner, so that rows begin early.
pub const BATCH: usize = 4 << 20;
const FIRST_BATCH: usize = 256 * 1024;

/// A file that fills.
pub struct Spool {
    input: Input,
    path: PathBuf,
    /// Bytes that are on disk, and all that came, with those that were there already.
    synced: u64,
    came: u64,
    pending: Vec<u8>,
    limit: u64,
}

/// What is on disk for good.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Mark {
    length: u64,
    whole: bool,
}

impl Spool {
    /// Opens the file `name` for what comes of `identity`, with what is there of it already; it may become `limit` bytes long.
    pub fn open(folder: &Path, name: &str, identity: &Identity, limit: u64) -> Result<Spool, Failure> {
        let path = folder.join(format!("{name}-{}", key(identity)));
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|error| lost(&error))?;
        let length = file.metadata().map_err(|error| lost(&error))?.len();
        let marked = fs::read(mark_of(&path)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let mark: Mark = marked.filter(|mark: &Mark| mark.length <= length).unwrap_or_default();
        let input = Input::growing(file, mark.length);
        if mark.whole {
            input.finish();
        }
        Ok(Spool { input, path, synced: mark.length, came: 0, pending: Vec::new(), limit })
    }

    /// What is read while it fills.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// Bytes that are on disk.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Bytes that came, among them those that were there already.
    pub fn came(&self) -> u64 {
        self.came
    }

    /// The next bytes come from `at` on, which lies in what is on disk or at its end.
    pub fn go_on_at(&mut self, at: u64) {
        self.pending.clear();
        self.came = at.min(self.synced);
    }

    /// The bytes of the file at this place that are other than `bytes`; places behind its end are the same as any.
    pub fn differs(&self, bytes: &[u8]) -> Result<bool, Failure> {
        let mut held = vec![0; bytes.len()];
        let mut read = 0;
        while read < held.len() {
            match self.input.file().read_at(&mut held[read..], self.came + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) => return Err(lost(&error)),
            }
        }
        Ok(held[..read] != bytes[..read])
    }

    /// Takes the next bytes; full batches go to disk.
    ///
    /// # Errors
    /// `TOO_LARGE` past the limit; a disk that is full.
    pub fn push(&mut self, bytes: &[u8], expected: Option<u64>) -> Result<(), Failure> {
        let known = usize::try_from(self.synced.saturating_sub(self.came)).unwrap_or(usize::MAX).min(bytes.len());
        self.came += bytes.len() as u64;
        if self.came > self.limit {
            return Err(too_large(self.limit));
        }
        self.pending.extend_from_slice(&bytes[known..]);
        let batch = usize::try_from(self.synced).unwrap_or(BATCH).clamp(FIRST_BATCH, BATCH);
        if self.pending.len() >= batch { self.flush(expected) } else { Ok(()) }
    }

    /// Brings all that came to disk, and lets it be read.
    pub fn flush(&mut self, expected: Option<u64>) -> Result<(), Failure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let file = self.input.file();
        let written = file.write_all_at(&self.pending, self.synced).and_then(|()| file.sync_data());
        written.map_err(|error| lost(&error))?;
        self.synced += self.pending.len() as u64;
        self.pending.clear();
        self.mark(false)?;
        self.input.grow(self.synced, expected);
        Ok(())
    }

    /// All came.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.flush(None)?;
        self.mark(true)?;
        self.input.finish();
        Ok(())
    }

    fn mark(&self, whole: bool) -> Result<(), Failure> {
        let mark = Mark { length: self.synced, whole };
        put(&mark_of(&self.path), &mark).map_err(|error| lost(&error))
    }
}

/// Writes a small file so that it is there whole or not at all; after a power cut it may be an older one.
pub fn put<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let part = path.with_extension(format!("{}.part", uuid::Uuid::new_v4().simple()));
    let mut file = File::create_new(&part)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_data()?;
    fs::rename(&part, path)
}

/// It is larger than this server takes.
pub fn too_large(limit: u64) -> Failure {
    Failure::permanent(
        Code::TooLarge,
        format!("its file is larger than {limit} bytes, the limit of this server (PAUSA_MAX_UPLOAD_BYTES)"),
    )
}

pub fn lost(error: &io::Error) -> Failure {
    Failure::io("the copy of its file", error)
}

fn mark_of(path: &Path) -> PathBuf {
    path.with_extension("mark")
}

/// A short name for what `identity` tells.
fn key(identity: &Identity) -> String {
    use sha2::Digest;
    let text = format!("{} {} {}", identity.size, identity.modified, identity.version.as_deref().unwrap_or_default());
    crate::files::hex(&sha2::Sha256::digest(text)[..8])
}
