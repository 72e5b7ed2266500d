//! POST /uploads: creates an upload, and receives its first bytes if the request has some.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::headers::{DEFER, LENGTH, METADATA, OFFSET, number, with_expiry};
use super::receive::{self, has_bytes};
use super::{TusResult, bad, metadata, open_unfinished, too_large};
use crate::access::Caller;
use crate::http::error_response::storage_failed;
use crate::http::file_response::with;
use crate::state::AppState;
use crate::store::Upload;

pub async fn create(app: &AppState, caller: &Caller, headers: &HeaderMap, body: Body) -> TusResult {
    let upload = parse_upload(app, headers)?;
    app.store.add_upload(caller, &upload).await.map_err(storage_failed)?;
    let location = format!("/uploads/{}", upload.id);
    let created = StatusCode::CREATED.into_response();
    let response = if has_bytes(headers) {
        let (upload, offset) = receive::receive(app, caller, upload, 0, body).await?;
        with(with_expiry(created, app, &upload), OFFSET, &offset.to_string())
    } else if upload.size == Some(0) {
        let _lock = app.upload_locks.take(&upload.id).await;
        let (mut bytes, upload) = open_unfinished(app, caller, &upload.id).await?;
        with_expiry(created, app, &receive::complete_if_full(app, caller, upload, bytes.as_mut()).await?)
    } else {
        with_expiry(created, app, &upload)
    };
    Ok(with(response, header::LOCATION, &location))
}

/// Reads a new upload from the headers.
fn parse_upload(app: &AppState, headers: &HeaderMap) -> Result<Upload, Box<Response>> {
    let size = number(headers, &LENGTH)?;
    let later = headers.get(DEFER).is_some_and(|later| later == "1");
    if size.is_some() == later || headers.contains_key(DEFER) != later {
        return Err(bad("Send either Upload-Length with the size of the file in bytes, or Upload-Defer-Length: 1."));
    }
    if size.is_some_and(|size| size > app.config.max_upload_bytes) {
        return Err(too_large(app.config.max_upload_bytes));
    }
    let metadata = match headers.get(METADATA) {
        None => None,
        Some(text) => Some(text.to_str().map_err(|_| bad("Upload-Metadata must be ASCII."))?.to_owned()),
    };
    let max_bytes = app.config.http.max_metadata_bytes;
    let name = metadata.as_deref().map(|text| metadata::file_name(text, max_bytes)).transpose();
    let name = name.map_err(|text| bad(&text))?.flatten();
    let (id, now) = (app.clock.uuid().to_string(), app.clock.now());
    Ok(Upload { id, name, metadata, size, sha256: None, created_at: now, used_at: now })
}
