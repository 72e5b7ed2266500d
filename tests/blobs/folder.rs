//! The folder as a blob store, and what is true of the folder only.

use async_trait::async_trait;
use jiff::Timestamp;
use pausa::files::Files;
use tempfile::TempDir;

use super::{Store, send, upload};
use crate::blobs::content;

/// A folder of its own.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// Returns the URL of the folder.
    pub fn url(&self) -> String {
        format!("file://{}", self.0.path().display())
    }
}

#[async_trait]
impl Store for Folder {
    async fn open(&self, abandoned: Timestamp) -> Files {
        Files::open(self.0.path(), None, abandoned).await.unwrap()
    }

    async fn objects(&self) -> usize {
        let folders = ["uploads", "unfinished", "results"].map(|folder| self.0.path().join(folder));
        let work = std::fs::read_dir(self.0.path().join("work")).unwrap().map(|entry| entry.unwrap().path());
        // A server may delete a folder meanwhile.
        let count = |folder| std::fs::read_dir(folder).map_or(0, Iterator::count);
        folders.into_iter().chain(work).map(count).sum()
    }
}

#[tokio::test]
async fn files_have_the_names_that_earlier_versions_gave_them() {
    let folder = Folder::new();
    let files = folder.open(Timestamp::UNIX_EPOCH).await;
    let path = |name: &str| folder.0.path().join(name);
    send(&files.blobs, "a", &content()).await;
    assert_eq!(std::fs::read(path("uploads/a")).unwrap(), content());
    let mut parts = files.blobs.resume_upload("b").await.unwrap().unwrap();
    parts.write(b"bytes", 9).await.unwrap();
    parts.sync().await.unwrap();
    assert_eq!(std::fs::read(path("unfinished/b")).unwrap(), b"bytes");
    let mut stream = files.blobs.create_upload("c", 9).await.unwrap();
    stream.write(b"bytes").await.unwrap();
    assert!(path("uploads/c.part").exists());
    let task = crate::harness::task_id();
    let scratch = files.scratch.of(task);
    std::io::Write::write_all(&mut scratch.create("file").unwrap(), b"bytes").unwrap();
    let staged = files.blobs.stage_result(task, &scratch, "file", None).await.unwrap();
    assert!(path(&format!("work/{task}/{}", staged.sha256)).exists());
    assert!(!path(&format!("results/{task}")).exists(), "a result is not a blob before it is published");
    files.publish_result(task, &staged.sha256).await.unwrap();
    assert_eq!(std::fs::read(path(&format!("results/{task}"))).unwrap(), b"bytes");
    assert!(!path(&format!("work/{task}")).exists());
}

#[tokio::test]
async fn streams_that_a_crash_cut_off_are_deleted_once_they_are_old() {
    let folder = Folder::new();
    let files = folder.open(Timestamp::UNIX_EPOCH).await;
    drop(files.blobs.create_upload("a", 9).await.unwrap());
    send(&files.blobs, "b", b"complete").await;
    folder.open(Timestamp::UNIX_EPOCH).await;
    assert_eq!(folder.objects().await, 2, "another node may still be receiving it");
    let files = folder.open(Timestamp::MAX).await;
    assert_eq!(folder.objects().await, 1);
    assert!(files.blobs.open(&upload("b")).await.is_ok());
}
