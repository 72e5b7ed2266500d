//! The marker of a folder of files: a small file with a random ID, which the task store keeps too.
//!
//! It shows that the folder is the one that belongs to the store. While a server runs, it also distinguishes a missing file from
//! a missing folder: an unmounted folder has no marker.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk;

/// Name of the file.
pub const MARKER_FILE: &str = "store-id";

/// The marker of a folder. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct FolderMarker {
    root: Arc<Path>,
    /// The marker was there once.
    seen: Arc<AtomicBool>,
}

impl FolderMarker {
    /// The marker of the folder `root`.
    pub(super) fn of(root: &Path) -> FolderMarker {
        FolderMarker { root: root.into(), seen: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.root.join(MARKER_FILE)
    }

    /// Returns the ID. None if there is no marker. Blocks.
    pub(super) fn read(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path()) {
            Ok(text) => {
                self.seen.store(true, Ordering::Relaxed);
                Ok(Some(text.trim().to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the marker, unless there is one. Returns the ID that is there then. Blocks.
    pub(super) fn claim(&self, id: &str) -> io::Result<String> {
        // Linked under its name when it is complete: no reader sees a part of it.
        let mut part = tempfile::NamedTempFile::new_in(&self.root)?;
        writeln!(part, "{id}")?;
        part.as_file().sync_all()?;
        match part.persist_noclobber(self.path()) {
            Ok(_) => disk::sync_folder(&self.root)?,
            Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => {}
            Err(refused) => return Err(refused.error),
        }
        self.read()?.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the marker of the folder disappeared"))
    }

    /// Names the marker for error texts.
    pub(super) fn place(&self) -> String {
        format!("the file {}", self.path().display())
    }

    /// Returns `error` as callers see it: if the folder has lost its marker, the folder is unavailable, not the file.
    pub(super) fn explain(&self, error: io::Error) -> io::Error {
        let missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        if !missing || !self.seen.load(Ordering::Relaxed) || self.path().exists() {
            return error;
        }
        let root = self.root.display();
        let text = format!("the folder of files {root} is not there: it has no file {MARKER_FILE}. Mount it again");
        io::Error::new(ErrorKind::NotConnected, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileFault;

    #[test]
    fn the_first_marker_stays() {
        let folder = tempfile::tempdir().unwrap();
        let marker = FolderMarker::of(folder.path());
        assert_eq!(marker.read().unwrap(), None);
        assert_eq!(marker.claim("one").unwrap(), "one");
        assert_eq!(FolderMarker::of(folder.path()).claim("two").unwrap(), "one");
        assert_eq!(marker.read().unwrap().as_deref(), Some("one"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_file_is_missing_only_while_its_folder_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("files");
        fs::create_dir(&root).unwrap();
        let fault = |marker: &FolderMarker| {
            FileFault::of(&marker.explain(fs::read(root.join("result")).expect_err("there is none")))
        };
        let marker = FolderMarker::of(&root);
        assert_eq!(fault(&marker), FileFault::Missing, "it never had a marker");
        marker.claim("one").unwrap();
        assert_eq!(fault(&marker), FileFault::Missing);
        fs::rename(&root, folder.path().join("away")).unwrap();
        assert_eq!(fault(&marker), FileFault::Unavailable, "the folder is gone");
        fs::create_dir(&root).unwrap();
        assert_eq!(fault(&marker), FileFault::Unavailable, "an empty folder is in its place");
        fs::remove_dir(&root).unwrap();
        fs::rename(folder.path().join("away"), &root).unwrap();
        assert_eq!(fault(&marker), FileFault::Missing, "it is mounted again");
    }
}
