//! The record in the lock file that distinguishes a folder after a crash from a copy of it.
//!
//! A server records the identity of its store file, and removes the record on a clean shutdown. A copy has other files:
//! if a server was writing during the copy, its database and its WAL may be inconsistent, which SQLite cannot detect.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// Identity of a store file.
#[derive(Debug, Serialize, Deserialize)]
struct StoreIdentity {
    inode: u64,
    /// Time of creation, in nanoseconds since 1970. None if the file system does not record it.
    created: Option<u64>,
}

impl StoreIdentity {
    fn of(file: &Metadata) -> StoreIdentity {
        let created = file.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        StoreIdentity { inode: file.ino(), created: created.and_then(|age| u64::try_from(age.as_nanos()).ok()) }
    }

    /// Compares the creation time too: some file systems change the inode of a file on each mount.
    fn is_same(&self, other: &StoreIdentity) -> bool {
        self.inode == other.inode || (self.created.is_some() && self.created == other.created)
    }
}

/// Records that a server runs on this store.
pub fn note(mut lock: &File, store: &Path) -> io::Result<()> {
    let text = serde_json::to_vec(&StoreIdentity::of(&store.metadata()?))?;
    lock.set_len(0)?;
    lock.rewind()?;
    // Not synced: a copy reads it at once, and losing it in a power failure is harmless.
    lock.write_all(&text)
}

/// Records a clean shutdown.
pub fn clear(lock: &File) -> io::Result<()> {
    lock.set_len(0)
}

/// Returns true if the store was copied from a folder whose server was running or had crashed.
pub fn is_copied(mut lock: &File, store: &Path) -> io::Result<bool> {
    let mut text = Vec::new();
    lock.rewind()?;
    lock.read_to_end(&mut text)?;
    // Older versions wrote no record.
    let Ok(noted) = serde_json::from_slice::<StoreIdentity>(&text) else { return Ok(false) };
    match store.metadata() {
        Ok(file) => Ok(!noted.is_same(&StoreIdentity::of(&file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    #[test]
    fn a_copy_is_told_from_what_a_crash_left() {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = (folder.path().join("pausa.db"), folder.path().join("copy.db"));
        fs::write(&store, "rows").unwrap();
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).to_owned();
        let lock = options.open(folder.path().join("pausa.lock")).unwrap();
        assert!(!is_copied(&lock, &store).unwrap(), "no server ever ran");
        note(&lock, &store).unwrap();
        fs::copy(&store, &other).unwrap();
        let again = options.open(folder.path().join("pausa.lock")).unwrap();
        assert!(!is_copied(&again, &store).unwrap(), "a server crashed");
        assert!(is_copied(&again, &other).unwrap(), "its folder was copied");
        assert!(!is_copied(&again, &folder.path().join("none.db")).unwrap(), "there is no store yet");
        clear(&lock).unwrap();
        assert!(!is_copied(&lock, &other).unwrap(), "it was copied after a clean end");
    }
}
