//! The beginning of an upload, with its first bytes where the client sends them along.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::headers::{DEFER, LENGTH, METADATA, OFFSET, expiring, number, with};
use super::receive::{self, is_part};
use super::{TusResult, bad, metadata, opened, too_large};
use crate::http::uploads::unkept;
use crate::state::AppState;
use crate::store::Upload;

pub async fn create(app: &AppState, headers: &HeaderMap, body: Body) -> TusResult {
    let upload = described(app, headers)?;
    app.store.add_upload(&upload).await.map_err(unkept)?;
    let place = format!("/uploads/{}", upload.id);
    let created = StatusCode::CREATED.into_response();
    let answer = if is_part(headers) {
        let (upload, offset) = receive::receive(app, upload, 0, body).await?;
        with(expiring(created, app, &upload), OFFSET, &offset.to_string())
    } else if upload.size == Some(0) {
        let _lock = app.upload_locks.take(&upload.id).await;
        let (mut part, upload) = opened(app, &upload.id).await?;
        expiring(created, app, &receive::completed(app, upload, &mut part).await?)
    } else {
        expiring(created, app, &upload)
    };
    Ok(with(answer, header::LOCATION, &place))
}

/// The upload that the headers tell of.
fn described(app: &AppState, headers: &HeaderMap) -> Result<Upload, Box<Response>> {
    let size = number(headers, &LENGTH)?;
    let later = headers.get(DEFER).is_some_and(|later| later == "1");
    if size.is_some() == later || headers.contains_key(DEFER) != later {
        return Err(bad("either Upload-Length with the bytes of the file, or Upload-Defer-Length: 1 is needed"));
    }
    if size.is_some_and(|size| size > app.config.max_upload_bytes) {
        return Err(too_large(app.config.max_upload_bytes));
    }
    let metadata = match headers.get(METADATA) {
        None => None,
        Some(text) => Some(text.to_str().map_err(|_| bad("Upload-Metadata is not ASCII"))?.to_owned()),
    };
    let name = metadata.as_deref().map_or(Ok(None), metadata::file_name).map_err(bad)?;
    let (id, now) = (app.clock.uuid().to_string(), app.clock.now());
    Ok(Upload { id, name, metadata, size, sha256: None, created_at: now, used_at: now })
}
