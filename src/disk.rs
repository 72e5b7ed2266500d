//! Files on the local disk: durable names, and deletion without waiting for the disk.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::thread;

/// Maximum size of a file whose space is released at once, in bytes.
const SMALL: u64 = 8 << 20;

/// Time from which a new name survives a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSync {
    /// From the return of the call: the folder is synced.
    Now,
    /// Later: a power loss may restore the previous file. Saves one sync.
    Later,
}

/// Writes a file atomically: readers and crashes see the previous content or the new one, never a part.
///
/// Writes and syncs a temporary file beside it (extension `part`), renames it, and syncs the folder by `sync`.
pub fn write_atomically(path: &Path, bytes: &[u8], sync: NameSync) -> io::Result<()> {
    // The temporary name is unique: a run that lost its lease may be writing the same file.
    let part = path.with_extension(format!("{}.part", uuid::Uuid::new_v4().simple()));
    let written = write_and_rename(&part, path, bytes);
    if written.is_err() {
        // The write failed already; the error of the cleanup adds nothing.
        let _ = fs::remove_file(&part);
    }
    written?;
    if sync == NameSync::Now { sync_folder(folder_of(path)) } else { Ok(()) }
}

fn write_and_rename(part: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(part)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(part, path)
}

/// Renames a file whose content is synced, so that the new name survives a power loss when this returns.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(folder_of(to))?;
    if folder_of(from) == folder_of(to) { Ok(()) } else { sync_folder(folder_of(from)) }
}

/// Syncs a folder: names added to it or removed from it survive a power loss.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns the folder that contains `path`; the working directory for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Deletes a file. Returns false if there is none.
///
/// A thread keeps a large file open and closes it later, because releasing the space takes longer the larger the file
/// is. If the process ends first, the system releases it. Close your own handles before, or with [`close_later`].
pub fn remove_file(path: &Path) -> io::Result<bool> {
    let large = fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() > SMALL);
    // If the file cannot be opened, this call waits for its space to be released.
    let open = if large { File::open(path).ok() } else { None };
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(false),
        Err(error) => return Err(error),
    }
    if let Some(open) = open {
        close_later(open);
    }
    Ok(true)
}

/// Drops `handle` on a thread. Use it for what may be the last handle of a deleted file.
pub fn close_later<T: Send + 'static>(handle: T) {
    // If no thread can be started, the handle is dropped here.
    let _ = thread::Builder::new().name("disk".into()).spawn(move || drop(handle));
}

/// Deletes a folder and its content like [`remove_file`]. Returns false if there is none.
pub fn remove_folder(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_folder(&entry.path())?
        } else {
            remove_file(&entry.path())?
        };
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_names_are_gone_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, SMALL + 1] {
            let path = folder.path().join("file");
            File::create(&path).unwrap().set_len(size).unwrap();
            assert!(remove_file(&path).unwrap());
            assert!(!path.exists());
            assert!(!remove_file(&path).unwrap());
        }
        let work = folder.path().join("work");
        fs::create_dir_all(work.join("inner")).unwrap();
        fs::write(work.join("inner/file"), "x").unwrap();
        assert!(remove_folder(&work).unwrap());
        assert!(!remove_folder(&work).unwrap());
    }

    #[test]
    fn an_atomic_write_replaces_the_file_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        for (content, sync) in [("first", NameSync::Now), ("second", NameSync::Later)] {
            write_atomically(&path, content.as_bytes(), sync).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert!(write_atomically(&folder.path().join("missing/file"), b"x", NameSync::Now).is_err());
        fs::create_dir(folder.path().join("taken")).unwrap();
        fs::write(folder.path().join("taken/file"), "x").unwrap();
        assert!(write_atomically(&folder.path().join("taken"), b"x", NameSync::Now).is_err());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
