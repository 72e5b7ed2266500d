//! Storage of the files of multipart requests.

use std::{error::Error, io, mem, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use thiserror::Error;

use super::source::is_silent;

/// Reason for which a file was not stored.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The file exceeds the maximum size of an upload.
    #[error("The file exceeds the maximum upload size of {limit} bytes.")]
    TooLarge {
        /// Maximum size of an upload, in bytes.
        limit: u64,
    },
    /// The request ended or its connection broke before the file was complete.
    #[error("The upload is incomplete: the request ended early. Send it again.")]
    CutOff,
    /// No data arrived in time.
    #[error("The upload timed out: no data arrived. Send it again.")]
    Silent,
    /// The file name is invalid. Contains the reason.
    #[error("The file name {0}.")]
    Name(String),
    /// The storage failed.
    #[error("could not store the file")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl UploadError {
    /// Converts the error of a request body.
    pub fn of_body(error: &(dyn Error + 'static)) -> UploadError {
        if is_silent(error) { UploadError::Silent } else { UploadError::CutOff }
    }
}

/// Stores files while their request is being read.
#[async_trait]
pub trait UploadSink: Send + Sync {
    /// Stores a file and returns its ID. Stores nothing if it refuses the file or `body` yields an error: see
    /// [`UploadError::of_body`].
    async fn store(
        &self,
        file_name: Option<String>,
        body: BoxStream<'_, Result<Bytes, io::Error>>,
    ) -> Result<String, UploadError>;

    /// Called after the request was executed or refused. Deletes the uploads that nothing uses.
    async fn release(&self, ids: Vec<String>);
}

/// The uploads of a request. They are released when the request ends or is dropped.
pub struct RequestUploads {
    sink: Arc<dyn UploadSink>,
    ids: Vec<String>,
}

impl RequestUploads {
    /// Creates an empty list.
    pub fn new(sink: Arc<dyn UploadSink>) -> Self {
        let ids = Vec::new();
        Self { sink, ids }
    }

    /// Adds an upload that the sink has stored.
    pub fn push(&mut self, id: String) {
        self.ids.push(id);
    }

    /// Returns the sink.
    pub fn sink(&self) -> &dyn UploadSink {
        self.sink.as_ref()
    }

    /// Returns true if the request has no files.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Releases the uploads.
    pub async fn release(mut self) {
        let ids = mem::take(&mut self.ids);
        if !ids.is_empty() {
            self.sink.release(ids).await;
        }
    }
}

impl Drop for RequestUploads {
    /// Releases the uploads in the background.
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
