//! Resumable uploads: tus 1.0.0 (<https://tus.io/protocols/resumable-upload>) with the extensions creation,
//! creation-with-upload, creation-defer-length, termination and expiration.
//!
//! The bytes of an interrupted request are kept. A response contains an offset only when its bytes are durable. A new request for an
//! upload interrupts the one that still writes, whose connection may be broken ([`crate::files::UploadLocks`]).

mod create;
mod headers;
mod metadata;
mod receive;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::io;

use super::caller::RequestCaller;
use super::error_response::{error, refuse, storage_failed};
use super::file_response::with;
use crate::access::Caller;
use crate::files::ResumableUpload;
use crate::state::AppState;
use crate::store::Upload;
use crate::task::Code;
pub use headers::{EXPOSED, is_tus, with_capabilities};
use headers::{OFFSET, with_upload};

/// A response, or a refusal.
type TusResult = Result<Response, Box<Response>>;

/// POST /uploads with a Tus-Resumable header: a new upload.
pub async fn create(app: &AppState, caller: &Caller, headers: &HeaderMap, body: Body) -> Response {
    headers::with_version(match headers::check_version(headers) {
        Ok(()) => create::create(app, caller, headers, body).await,
        Err(refusal) => Err(refusal),
    })
}

/// HEAD, PATCH and DELETE /uploads/ID; as POST too, with the method in X-HTTP-Method-Override.
pub async fn upload(
    State(app): State<AppState>,
    RequestCaller(caller): RequestCaller,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let result = match headers::check_version(&head.headers) {
        Err(refusal) => Err(refusal),
        Ok(()) => match headers::method(&head.method, &head.headers) {
            Method::HEAD => report_offset(&app, &caller, &id).await,
            Method::PATCH => receive::patch(&app, &caller, id, &head.headers, body).await,
            Method::DELETE => terminate(&app, &caller, &id).await,
            _ => {
                let text = "Use HEAD for the offset of an upload, PATCH to continue it, DELETE to delete it.";
                let refusal = error(StatusCode::METHOD_NOT_ALLOWED, Code::BadUserInput, text);
                Err(Box::new(with(refusal, header::ALLOW, "HEAD, PATCH, DELETE, OPTIONS")))
            }
        },
    };
    headers::with_version(result)
}

/// HEAD: reports the offset. First interrupts the request that still writes, so that the offset stays true.
async fn report_offset(app: &AppState, caller: &Caller, id: &str) -> TusResult {
    let mut upload = known(app, caller, id).await?;
    let mut offset = upload.size.unwrap_or(0);
    if !upload.is_complete() {
        let lock = app.upload_locks.take(id).await;
        let (mut bytes, now) = open_unfinished(app, caller, id).await?;
        offset = bytes.sync().await.map_err(storage_failed)?;
        upload = receive::complete_if_full(app, caller, now, bytes.as_mut()).await?;
        drop(bytes);
        drop(lock);
    }
    let response = with_upload(StatusCode::OK.into_response(), app, &upload);
    let response = with(response, header::CACHE_CONTROL, "no-store");
    Ok(with(response, OFFSET, &offset.to_string()))
}

/// DELETE: deletes an upload, unless a task uses it.
async fn terminate(app: &AppState, caller: &Caller, id: &str) -> TusResult {
    let upload = known(app, caller, id).await?;
    let _lock = app.upload_locks.take(id).await;
    if !app.store.delete_upload(caller, &upload.id).await.map_err(storage_failed)? {
        known(app, caller, id).await?;
        return Err(refused(
            StatusCode::CONFLICT,
            Code::InvalidState,
            "A task uses the upload. Delete the task first.",
        ));
    }
    delete_blob(app, &upload.id).await.map_err(storage_failed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn known(app: &AppState, caller: &Caller, id: &str) -> Result<Upload, Box<Response>> {
    let found = app.store.upload(caller, id).await.map_err(storage_failed)?;
    found.ok_or_else(|| refused(StatusCode::NOT_FOUND, Code::NotFound, "Upload not found."))
}

/// Opens the bytes of an upload for this process only, and reads its row after that.
async fn open_unfinished(
    app: &AppState,
    caller: &Caller,
    id: &str,
) -> Result<(Box<dyn ResumableUpload>, Upload), Box<Response>> {
    let Some(bytes) = app.files.blobs.resume_upload(id).await.map_err(storage_failed)? else {
        return Err(refused(
            StatusCode::LOCKED,
            Code::Conflict,
            "Another node receives this upload. Try again in a moment.",
        ));
    };
    match known(app, caller, id).await {
        Ok(upload) => Ok((bytes, upload)),
        Err(refusal) => {
            delete_blob(app, id).await.map_err(storage_failed)?;
            Err(refusal)
        }
    }
}

fn refused(status: StatusCode, code: Code, text: &str) -> Box<Response> {
    Box::new(error(status, code, text))
}

fn bad(text: &str) -> Box<Response> {
    refused(StatusCode::BAD_REQUEST, Code::BadUserInput, text)
}

fn too_large(limit: u64) -> Box<Response> {
    Box::new(refuse(&graphql_transport::UploadError::TooLarge { limit }))
}

/// Deletes the bytes of an upload, complete or not.
pub async fn delete_blob(app: &AppState, id: &str) -> io::Result<()> {
    app.files.blobs.delete_upload(id).await
}
