//! The bytes of an upload as they come in, request by request.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::time::{MissedTickBehavior, interval};

use super::headers::{LENGTH, OFFSET, expiring, number, with};
use super::{TusResult, bad, known, opened, refused, too_large};
use crate::files::UploadLock;
use crate::files::{Part, Received};
use crate::http::uploads::unkept;
use crate::state::AppState;
use crate::store::Upload;
use crate::task::Code;
use graphql_transport::is_silent;

/// The media type of a part of a file.
const PART: &str = "application/offset+octet-stream";

/// The longest time between two notes in the store that somebody writes to an upload, and the shortest.
const NOTE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(25);

/// Why no more bytes of a request are taken.
enum ReceiveEnd {
    /// It was sent to its end.
    Sent,
    /// The connection broke.
    Broken,
    /// Nothing came for too long.
    Silent,
    /// Another request takes its place.
    Overtaken,
    /// The server ends.
    Ending,
    /// More bytes came than the file has.
    TooLarge,
    /// The upload was deleted meanwhile.
    Gone,
}

/// PATCH: the next bytes.
pub async fn patch(app: &AppState, id: String, headers: &HeaderMap, body: Body) -> TusResult {
    if !is_part(headers) {
        let text = format!("the content type must be {PART}");
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadUserInput, &text));
    }
    let offset = number(headers, &OFFSET)?.ok_or_else(|| bad("the header Upload-Offset is needed"))?;
    let told = number(headers, &LENGTH)?;
    let upload = sized(app, known(app, &id).await?, told).await?;
    let length = number(headers, &header::CONTENT_LENGTH)?.unwrap_or(0);
    if upload.size.is_some_and(|size| offset.saturating_add(length) > size) {
        return Err(more_than_told());
    }
    let (upload, offset) = receive(app, upload, offset, body).await?;
    let answer = expiring(StatusCode::NO_CONTENT.into_response(), app, &upload);
    Ok(with(answer, OFFSET, &offset.to_string()))
}

/// The body is a part of a file.
pub fn is_part(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == PART)
}

/// The upload with the size that this request tells, where it was not told before.
async fn sized(app: &AppState, mut upload: Upload, told: Option<u64>) -> Result<Upload, Box<Response>> {
    let Some(size) = told else { return Ok(upload) };
    if size > app.config.max_upload_bytes {
        return Err(too_large(app.config.max_upload_bytes));
    }
    if upload.size.is_some_and(|known| known != size) {
        return Err(bad("Upload-Length was told before, and cannot be changed"));
    }
    if app.files.received(&upload.id).await.map_err(unkept)? > size {
        return Err(bad("more bytes than Upload-Length are here already"));
    }
    if upload.size.is_none() && !app.store.size_upload(&upload.id, size).await.map_err(unkept)? {
        return Err(refused(StatusCode::CONFLICT, Code::Conflict, "another request told Upload-Length: ask by HEAD"));
    }
    upload.size = Some(size);
    Ok(upload)
}

/// Takes the body in from `offset` on; answers the upload as it then is, and its new offset.
pub async fn receive(app: &AppState, upload: Upload, offset: u64, body: Body) -> Result<(Upload, u64), Box<Response>> {
    let app = app.clone();
    // In a task of its own: a request whose connection breaks is dropped, but what came of it must reach the disk.
    let taken = tokio::spawn(async move { take(&app, &upload.id, offset, body.into_data_stream()).await });
    taken.await.unwrap_or_else(|broken| Err(unkept(std::io::Error::other(broken))))
}

async fn take(app: &AppState, id: &str, offset: u64, body: BodyDataStream) -> Result<(Upload, u64), Box<Response>> {
    let lock = app.upload_locks.take(id).await;
    let (mut part, upload) = opened(app, id).await?;
    let size = part.size();
    if offset != size {
        let text = format!("{size} bytes are here, so the next ones begin at Upload-Offset {size}");
        return Err(Box::new(with(*refused(StatusCode::CONFLICT, Code::Conflict, &text), OFFSET, &size.to_string())));
    }
    let limit = upload.size.unwrap_or(app.config.max_upload_bytes);
    let end = pour(app, id, &lock, body, &mut part, limit).await;
    // Whatever ended it, what came is kept.
    let offset = part.sync().await.map_err(unkept)?;
    let now = app.clock.now();
    if matches!(end, Ok(ReceiveEnd::Gone)) || !app.store.use_upload(id, now).await.map_err(unkept)? {
        drop(part);
        app.files.delete_upload(id).await.map_err(unkept)?;
        return Err(refused(StatusCode::NOT_FOUND, Code::NotFound, "the upload was deleted"));
    }
    let upload = completed(app, Upload { used_at: now, ..upload }, &mut part).await?;
    match end.map_err(unkept)? {
        ReceiveEnd::Sent => Ok((upload, offset)),
        end => Err(ended(&end, offset, upload.size, limit)),
    }
}

/// Writes what comes, until something ends it.
async fn pour(
    app: &AppState,
    id: &str,
    lock: &UploadLock,
    mut body: BodyDataStream,
    part: &mut Part,
    limit: u64,
) -> std::io::Result<ReceiveEnd> {
    let mut notes = interval(app.config.upload_life.map_or(NOTE, |life| (life / 4).clamp(SOON, NOTE)));
    notes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = lock.over() => return Ok(ReceiveEnd::Overtaken),
            () = app.ending.cancelled() => return Ok(ReceiveEnd::Ending),
            _ = notes.tick() => {
                if matches!(app.store.use_upload(id, app.clock.now()).await, Ok(false)) {
                    return Ok(ReceiveEnd::Gone);
                }
            }
            piece = body.next() => match piece {
                None => return Ok(ReceiveEnd::Sent),
                Some(Err(error)) if is_silent(&error) => return Ok(ReceiveEnd::Silent),
                Some(Err(_)) => return Ok(ReceiveEnd::Broken),
                Some(Ok(bytes)) => {
                    if part.write(&bytes, limit).await? == Received::TooLarge {
                        return Ok(ReceiveEnd::TooLarge);
                    }
                }
            },
        }
    }
}

/// The upload as it is, noted as whole where all of it is here.
pub async fn completed(app: &AppState, upload: Upload, part: &mut Part) -> Result<Upload, Box<Response>> {
    if upload.is_complete() || upload.size != Some(part.size()) {
        return Ok(upload);
    }
    let whole = part.finish().await.map_err(unkept)?;
    let now = app.clock.now();
    if !app.store.complete_upload(&upload.id, whole.size, &whole.sha256, now).await.map_err(unkept)? {
        app.files.delete_upload(&upload.id).await.map_err(unkept)?;
        return Err(refused(StatusCode::NOT_FOUND, Code::NotFound, "the upload was deleted"));
    }
    Ok(Upload { sha256: Some(whole.sha256), used_at: now, ..upload })
}

/// What a client reads whose request did not come to its end, if it still listens.
fn ended(end: &ReceiveEnd, offset: u64, told: Option<u64>, limit: u64) -> Box<Response> {
    let (status, code, text) = match end {
        ReceiveEnd::TooLarge if told.is_some() => return more_than_told(),
        ReceiveEnd::TooLarge => return too_large(limit),
        ReceiveEnd::Silent => (StatusCode::REQUEST_TIMEOUT, Code::Timeout, "no byte came for too long"),
        ReceiveEnd::Overtaken => (StatusCode::LOCKED, Code::Conflict, "another request took the place of this one"),
        ReceiveEnd::Ending => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "the server is ending"),
        ReceiveEnd::Sent | ReceiveEnd::Broken | ReceiveEnd::Gone => {
            (StatusCode::BAD_REQUEST, Code::BadUserInput, "the request broke off")
        }
    };
    refused(status, code, &format!("{text}; {offset} bytes are kept: go on from there"))
}

fn more_than_told() -> Box<Response> {
    let text = "these are more bytes than the file has by its Upload-Length";
    refused(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, text)
}
