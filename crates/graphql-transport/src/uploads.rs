//! Where the files of multipart requests go.

use std::{error::Error, io, mem, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use thiserror::Error;

use super::source::is_silent;

/// Why a file of a multipart request was not stored.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The file is longer than an upload may be.
    #[error("The file is larger than {limit} bytes, the most that an upload may have.")]
    TooLarge {
        /// The most that an upload may have, in bytes.
        limit: u64,
    },
    /// The request ended, or its connection broke, before the file was complete.
    #[error("The request was cut off before the file was complete. Send it again.")]
    CutOff,
    /// No byte of the request came for too long.
    #[error("No byte of the file came for too long. Send it again.")]
    Silent,
    /// The name of the file cannot be stored, with what is wrong with it.
    #[error("The file name {0}.")]
    Name(String),
    /// The storage failed.
    #[error("the file could not be stored")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl UploadError {
    /// Why the body of a request failed.
    pub fn of_body(error: &(dyn Error + 'static)) -> UploadError {
        if is_silent(error) { UploadError::Silent } else { UploadError::CutOff }
    }
}

/// Stores files while their request is being read.
#[async_trait]
pub trait UploadSink: Send + Sync {
    /// Stores one file and tells the id of the upload. Keeps nothing of a file that it refuses,
    /// and nothing of one whose `body` yields an error ([`UploadError::of_body`]).
    async fn store(
        &self,
        file_name: Option<String>,
        body: BoxStream<'_, Result<Bytes, io::Error>>,
    ) -> Result<String, UploadError>;

    /// Called once the request has been executed or refused: deletes those uploads that no task took.
    async fn release(&self, ids: Vec<String>);
}

/// The uploads of one request. They are released when it ends, also where it is dropped midway.
pub struct Held {
    sink: Arc<dyn UploadSink>,
    ids: Vec<String>,
}

impl Held {
    /// No uploads yet.
    pub fn new(sink: Arc<dyn UploadSink>) -> Self {
        let ids = Vec::new();
        Self { sink, ids }
    }

    /// Adds an upload that the sink has stored.
    pub fn push(&mut self, id: String) {
        self.ids.push(id);
    }

    /// Where further files go.
    pub fn sink(&self) -> &dyn UploadSink {
        self.sink.as_ref()
    }

    /// Did the request bring no files?
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Tells the sink that the request has ended.
    pub async fn release(mut self) {
        let ids = mem::take(&mut self.ids);
        if !ids.is_empty() {
            self.sink.release(ids).await;
        }
    }
}

impl Drop for Held {
    /// A request that is dropped (its client went away) releases its uploads in the background.
    fn drop(&mut self) {
        let ids = mem::take(&mut self.ids);
        if ids.is_empty() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let sink = Arc::clone(&self.sink);
            runtime.spawn(async move { sink.release(ids).await });
        }
    }
}
