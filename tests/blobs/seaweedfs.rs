//! A prefix in the bucket of docker-compose.yml as a blob store.

use async_trait::async_trait;
use jiff::Timestamp;
use pausa::files::Files;
use tempfile::TempDir;

use super::Store;
use crate::deploy::objects::Objects;

/// A prefix of its own, and a working folder for each process.
pub struct InSeaweedFs {
    objects: &'static Objects,
    prefix: String,
    scratch: TempDir,
}

impl InSeaweedFs {
    pub async fn new() -> InSeaweedFs {
        let prefix = crate::harness::task_id().to_string();
        InSeaweedFs { objects: Objects::shared().await, prefix, scratch: tempfile::tempdir().unwrap() }
    }
}

#[async_trait]
impl Store for InSeaweedFs {
    async fn open(&self, abandoned: Timestamp) -> Files {
        Files::open(self.scratch.path(), Some(&self.objects.url(&self.prefix)), abandoned).await.unwrap()
    }

    async fn objects(&self) -> usize {
        self.objects.keys(&self.prefix).await.len()
    }

    fn notes_of_a_result(&self) -> usize {
        1
    }

    fn notes_of_an_upload(&self) -> usize {
        1
    }
}
