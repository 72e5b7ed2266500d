//! Receives the bytes of an upload, request by request.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::time::{MissedTickBehavior, interval};

use super::headers::{LENGTH, OFFSET, number, with_expiry};
use super::{TusResult, bad, delete_blob, known, open_unfinished, refused, too_large};
use crate::access::Caller;
use crate::files::{ResumableUpload, UploadLock, UploadOutcome};
use crate::http::error_response::storage_failed;
use crate::http::file_response::with;
use crate::spawn::spawn;
use crate::state::AppState;
use crate::store::Upload;
use crate::task::Code;
use graphql_transport::is_silent;

/// Media type of a request with bytes of an upload.
const MEDIA_TYPE: &str = "application/offset+octet-stream";

/// Longest time between two updates of `used_at` while bytes arrive.
const MAX_USE_INTERVAL: Duration = Duration::from_secs(60);

/// Shortest time between two updates of `used_at`.
const MIN_USE_INTERVAL: Duration = Duration::from_millis(25);

/// Reason why no more bytes of a request are read.
enum ReceiveEnd {
    /// The body ended.
    Sent,
    /// The connection was lost.
    Broken,
    /// No byte arrived for too long.
    Silent,
    /// Another request for the upload interrupted this one.
    Superseded,
    /// The server is shutting down.
    ShuttingDown,
    /// More bytes arrived than the upload may have.
    TooLarge,
    /// The upload was deleted.
    Gone,
}

/// PATCH: receives the next bytes.
pub async fn patch(app: &AppState, caller: &Caller, id: String, headers: &HeaderMap, body: Body) -> TusResult {
    if !has_bytes(headers) {
        let text = match headers.get(header::CONTENT_TYPE) {
            Some(value) => format!("Content-Type must be {MEDIA_TYPE}, got {value:?}."),
            None => format!("Content-Type must be {MEDIA_TYPE}, but is missing."),
        };
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadUserInput, &text));
    }
    let offset = number(headers, &OFFSET)?.ok_or_else(|| bad("Send the header Upload-Offset."))?;
    let length = number(headers, &LENGTH)?;
    let upload = set_length(app, caller, known(app, caller, &id).await?, length).await?;
    let bytes = number(headers, &header::CONTENT_LENGTH)?.unwrap_or(0);
    if upload.size.is_some_and(|size| offset.saturating_add(bytes) > size) {
        return Err(exceeds_length());
    }
    let (upload, offset) = receive(app, caller, upload, offset, body).await?;
    let response = with_expiry(StatusCode::NO_CONTENT.into_response(), app, &upload);
    Ok(with(response, OFFSET, &offset.to_string()))
}

/// Returns true if the body has bytes of an upload.
pub fn has_bytes(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE)
}

/// Records the length that a request gives for an upload created with Upload-Defer-Length.
async fn set_length(
    app: &AppState,
    caller: &Caller,
    mut upload: Upload,
    length: Option<u64>,
) -> Result<Upload, Box<Response>> {
    let Some(size) = length else { return Ok(upload) };
    if size > app.config.max_upload_bytes {
        return Err(too_large(app.config.max_upload_bytes));
    }
    if upload.size.is_some_and(|known| known != size) {
        return Err(bad("Upload-Length is set and cannot be changed."));
    }
    if app.files.blobs.received_bytes(&upload.id).await.map_err(storage_failed)? > size {
        return Err(bad("More bytes than Upload-Length were received already."));
    }
    if upload.size.is_none() && !app.store.size_upload(caller, &upload.id, size).await.map_err(storage_failed)? {
        return Err(refused(
            StatusCode::CONFLICT,
            Code::Conflict,
            "Another request set Upload-Length. Send HEAD to read it.",
        ));
    }
    upload.size = Some(size);
    Ok(upload)
}

/// Receives the body from `offset` on. Returns the upload and its new offset.
pub async fn receive(
    app: &AppState,
    caller: &Caller,
    upload: Upload,
    offset: u64,
    body: Body,
) -> Result<(Upload, u64), Box<Response>> {
    let (app, caller) = (app.clone(), caller.clone());
    // A request whose connection is lost is dropped, but its bytes must reach the disk: hence a tokio task.
    let received = spawn(async move { append(&app, &caller, &upload.id, offset, body.into_data_stream()).await });
    received.await.unwrap_or_else(|panic| Err(storage_failed(std::io::Error::other(panic))))
}

async fn append(
    app: &AppState,
    caller: &Caller,
    id: &str,
    offset: u64,
    body: BodyDataStream,
) -> Result<(Upload, u64), Box<Response>> {
    let lock = app.upload_locks.take(id).await;
    let (mut bytes, upload) = open_unfinished(app, caller, id).await?;
    let size = bytes.size();
    if offset != size {
        let text = format!("{size} bytes were received: continue at Upload-Offset {size}.");
        return Err(Box::new(with(*refused(StatusCode::CONFLICT, Code::Conflict, &text), OFFSET, &size.to_string())));
    }
    let limit = upload.size.unwrap_or(app.config.max_upload_bytes);
    let end = copy_body(app, caller, id, &lock, body, bytes.as_mut(), limit).await;
    // The bytes that arrived are kept, whatever the reason of the end.
    let offset = bytes.sync().await.map_err(storage_failed)?;
    let now = app.clock.now();
    if matches!(end, Ok(ReceiveEnd::Gone)) || !app.store.use_upload(caller, id, now).await.map_err(storage_failed)? {
        drop(bytes);
        delete_blob(app, id).await.map_err(storage_failed)?;
        return Err(refused(StatusCode::NOT_FOUND, Code::NotFound, "The upload was deleted."));
    }
    let upload = complete_if_full(app, caller, Upload { used_at: now, ..upload }, bytes.as_mut()).await?;
    match end.map_err(storage_failed)? {
        ReceiveEnd::Sent => Ok((upload, offset)),
        end => Err(interrupted(&end, offset, upload.size, limit)),
    }
}

/// Appends the body to the upload until something ends it.
async fn copy_body(
    app: &AppState,
    caller: &Caller,
    id: &str,
    lock: &UploadLock,
    mut body: BodyDataStream,
    upload: &mut dyn ResumableUpload,
    limit: u64,
) -> io::Result<ReceiveEnd> {
    let every = |life: Duration| (life / 4).clamp(MIN_USE_INTERVAL, MAX_USE_INTERVAL);
    let mut uses = interval(app.config.upload_life.map_or(MAX_USE_INTERVAL, every));
    uses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = lock.superseded() => return Ok(ReceiveEnd::Superseded),
            () = app.ending.cancelled() => return Ok(ReceiveEnd::ShuttingDown),
            _ = uses.tick() => {
                if matches!(app.store.use_upload(caller, id, app.clock.now()).await, Ok(false)) {
                    return Ok(ReceiveEnd::Gone);
                }
            }
            piece = body.next() => match piece {
                None => return Ok(ReceiveEnd::Sent),
                Some(Err(error)) if is_silent(&error) => return Ok(ReceiveEnd::Silent),
                Some(Err(_)) => return Ok(ReceiveEnd::Broken),
                Some(Ok(bytes)) => {
                    if upload.write(&bytes, limit).await? == UploadOutcome::TooLarge {
                        return Ok(ReceiveEnd::TooLarge);
                    }
                }
            },
        }
    }
}

/// Completes an upload if all of its bytes were received. Returns it as it is then.
pub async fn complete_if_full(
    app: &AppState,
    caller: &Caller,
    upload: Upload,
    bytes: &mut dyn ResumableUpload,
) -> Result<Upload, Box<Response>> {
    if upload.is_complete() || upload.size != Some(bytes.size()) {
        return Ok(upload);
    }
    let complete = bytes.finish().await.map_err(storage_failed)?;
    let now = app.clock.now();
    if !app
        .store
        .complete_upload(caller, &upload.id, complete.size, &complete.sha256, now)
        .await
        .map_err(storage_failed)?
    {
        delete_blob(app, &upload.id).await.map_err(storage_failed)?;
        return Err(refused(StatusCode::NOT_FOUND, Code::NotFound, "The upload was deleted."));
    }
    Ok(Upload { sha256: Some(complete.sha256), used_at: now, ..upload })
}

/// Returns the response to a request that was interrupted, for a client that still listens.
fn interrupted(end: &ReceiveEnd, offset: u64, length: Option<u64>, limit: u64) -> Box<Response> {
    let (status, code, text) = match end {
        ReceiveEnd::TooLarge if length.is_some() => return exceeds_length(),
        ReceiveEnd::TooLarge => return too_large(limit),
        ReceiveEnd::Silent => (StatusCode::REQUEST_TIMEOUT, Code::Timeout, "No byte arrived within http.body_seconds"),
        ReceiveEnd::Superseded => {
            (StatusCode::LOCKED, Code::Conflict, "Another request for this upload interrupted this one")
        }
        ReceiveEnd::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "The server is shutting down"),
        ReceiveEnd::Sent | ReceiveEnd::Broken | ReceiveEnd::Gone => {
            (StatusCode::BAD_REQUEST, Code::BadUserInput, "The request was interrupted")
        }
    };
    refused(status, code, &format!("{text}. {offset} bytes were received: continue there."))
}

fn exceeds_length() -> Box<Response> {
    let text = "The request has more bytes than Upload-Length allows.";
    refused(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, text)
}
