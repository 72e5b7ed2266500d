//! The files of this server: complete objects that every node can read, and working files of this machine.
//!
//! - [`blobs`]: uploads and results, complete and immutable, and uploads that are still being received
//! - [`scratch`]: the working folder of a run, never needed by another node for correctness
//! - [`fingerprint`]: size and SHA-256 of a file; [`upload_locks`]: one request at a time writes to an upload
//! - [`folder_marker`]: to which store a folder belongs; [`fault`]: what an error means
//!
//! No path leaves this module. Others name objects by [`BlobName`] and working files by their task and name.

pub mod blobs;
mod fault;
mod fingerprint;
mod folder_marker;
mod scratch;
mod upload_locks;

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

pub use blobs::s3::QUIET_TARGET;
pub use blobs::{
    BlobIdentity, BlobName, BlobReader, BlobStore, BlobWriter, ByteStream, DownloadHeaders, ResultWriter,
    ResumableUpload, UploadOutcome, WrittenResult,
};
pub use fault::FileFault;
pub use fingerprint::{Fingerprint, hex};
pub use folder_marker::MARKER_FILE;
pub use scratch::{Scratch, TaskScratch};
pub use upload_locks::{UploadLock, UploadLocks};

use crate::config::BucketUrl;
use crate::spawn::spawn;
use crate::task::TaskId;
use folder_marker::FolderMarker;

/// The blobs of all nodes and the scratch space of this machine. Clones share them.
#[derive(Clone)]
pub struct Files {
    /// Uploads and results.
    pub blobs: Arc<dyn BlobStore>,
    /// Working files of runs.
    pub scratch: Scratch,
}

impl Files {
    /// Opens the bucket, if there is one, or the folder `root`, and creates what is missing there. With a bucket, the folder has this
    /// node's working files only. Deletes incomplete uploads that received no byte since `abandoned`.
    pub async fn open(root: &Path, bucket: Option<&BucketUrl>, abandoned: Timestamp) -> io::Result<Files> {
        if let Some(bucket) = bucket {
            let blobs = blobs::s3::BlobBucket::open(bucket).await?;
            let old = blobs.clone();
            // The bucket may list many objects, and nothing waits for this.
            spawn(async move {
                if let Err(error) = old.delete_incomplete(abandoned).await {
                    tracing::warn!(%error, "could not delete incomplete uploads; the next sweep deletes them");
                }
            });
            return Ok(Files { blobs: Arc::new(blobs), scratch: Scratch::open(root.join("work"), None).await? });
        }
        let marker = FolderMarker::of(root);
        let scratch = Scratch::open(root.join("work"), Some(marker.clone())).await?;
        let blobs = Arc::new(blobs::folder::BlobFolder::open(root, marker, abandoned).await?);
        Ok(Files { blobs, scratch })
    }

    /// Returns true if blobs and working files are one folder, which every node sees.
    pub fn is_one_folder(&self) -> bool {
        self.scratch.is_shared()
    }

    /// Publishes a staged result and deletes the task's working files. Idempotent.
    pub async fn publish_result(&self, task: TaskId, sha256: &str) -> io::Result<()> {
        self.blobs.publish_result(task, sha256).await?;
        self.scratch.clear(task).await
    }

    /// Deletes the result of a task, published or staged, and its working files. Idempotent.
    pub async fn delete_task(&self, task: TaskId) -> io::Result<()> {
        self.blobs.delete_results(task).await?;
        self.scratch.clear(task).await
    }
}
