//! Downloads that the client fetches from the bucket itself.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::file_response::{disposition, unreadable, with};
use crate::files::{BlobName, BlobStore, DownloadHeaders};
use crate::task::ResultFile;

/// Returns 302 to a URL of the blob that `file` describes, at which the client must begin within `life`. 410 if it was deleted.
pub async fn send(blobs: &dyn BlobStore, name: &BlobName, file: &ResultFile, life: Duration) -> Response {
    let headers = DownloadHeaders { disposition: disposition(&file.name), content_type: file.content_type.clone() };
    match blobs.download_url(name, &headers, life).await {
        Ok(Some(url)) => {
            let response = with(StatusCode::FOUND.into_response(), header::LOCATION, &url);
            with(response, header::CACHE_CONTROL, "no-store")
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(cause) => unreadable(name, &cause),
    }
}
