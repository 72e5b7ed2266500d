//! Giving disk space back without a wait for it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;

/// Bytes up to which a file's space is given back at once.
const SMALL: u64 = 8 << 20;

/// Takes a file's name away; whether there was one. The space of a large file is given back a moment later, by a thread
/// that merely holds it open: that takes longer the larger it is. If the process ends before, the system does it. Close your
/// own handles of the file before, or by [`close_later`].
pub fn remove_file(path: &Path) -> io::Result<bool> {
    let large = fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() > SMALL);
    // Where it cannot be opened, its space is waited for.
    let held = if large { File::open(path).ok() } else { None };
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    if let Some(held) = held {
        close_later(held);
    }
    Ok(true)
}

/// Closes, on a thread, what may be the last to hold a removed file: whoever closes a file last waits for its space.
pub fn close_later<T: Send + 'static>(held: T) {
    // Without a thread it is closed here.
    let _ = thread::Builder::new().name("disk".into()).spawn(move || drop(held));
}

/// Takes a folder's name and those of the files in it away, in the same way; whether there was one.
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
    fn names_are_gone_at_once() {
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
}
