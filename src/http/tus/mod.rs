//! Uploads that can be paused and resumed: tus 1.0.0 (<https://tus.io/protocols/resumable-upload>) with the extensions
//! creation, creation-with-upload, creation-defer-length, termination and expiration.
//!
//! What lies in the upload's file is what was received: the bytes of a request that broke off are kept, and an offset is
//! told only once its bytes are on disk. A request that comes while another still writes, perhaps to a connection that is
//! long dead, takes its place ([`locks`]).

mod create;
mod headers;
mod metadata;
mod receive;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::uploads::{error, refuse, unkept};
use crate::files::Part;
use crate::state::AppState;
use crate::store::Upload;
use crate::task::Code;
pub use headers::{EXPOSED, announce, speaks};
use headers::{OFFSET, described, with};

/// An answer, or a refusal.
type TusResult = Result<Response, Box<Response>>;

/// POST /uploads with a Tus-Resumable header: a new upload.
pub async fn create(app: &AppState, headers: &HeaderMap, body: Body) -> Response {
    headers::stamped(match headers::checked(headers) {
        Ok(()) => create::create(app, headers, body).await,
        Err(refusal) => Err(refusal),
    })
}

/// HEAD, PATCH and DELETE /uploads/ID; as POST too, with the method in X-HTTP-Method-Override.
pub async fn upload(State(app): State<AppState>, Path(id): Path<String>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answer = match headers::checked(&head.headers) {
        Err(refusal) => Err(refusal),
        Ok(()) => match headers::method(&head.method, &head.headers) {
            Method::HEAD => look(&app, &id).await,
            Method::PATCH => receive::patch(&app, id, &head.headers, body).await,
            Method::DELETE => terminate(&app, &id).await,
            _ => {
                let text = "an upload is asked for by HEAD, continued by PATCH and deleted by DELETE";
                let answer = error(StatusCode::METHOD_NOT_ALLOWED, Code::BadUserInput, text);
                Err(Box::new(with(answer, header::ALLOW, "HEAD, PATCH, DELETE, OPTIONS")))
            }
        },
    };
    headers::stamped(answer)
}

/// How far it came. Whoever still writes to it is stopped first, so that what is said stays true.
async fn look(app: &AppState, id: &str) -> TusResult {
    let mut upload = known(app, id).await?;
    let mut offset = upload.size.unwrap_or(0);
    if !upload.is_complete() {
        let lock = app.upload_locks.take(id).await;
        let (mut part, now) = opened(app, id).await?;
        offset = part.sync().await.map_err(unkept)?;
        upload = receive::completed(app, now, &mut part).await?;
        drop(part);
        drop(lock);
    }
    let answer = described(StatusCode::OK.into_response(), app, &upload);
    let answer = with(answer, header::CACHE_CONTROL, "no-store");
    Ok(with(answer, OFFSET, &offset.to_string()))
}

/// Deletes it, unless a task reads it.
async fn terminate(app: &AppState, id: &str) -> TusResult {
    let upload = known(app, id).await?;
    let _lock = app.upload_locks.take(id).await;
    if !app.store.delete_upload(&upload.id).await.map_err(unkept)? {
        known(app, id).await?;
        return Err(refused(StatusCode::CONFLICT, Code::InvalidState, "a task reads it: delete the task first"));
    }
    app.files.delete_upload(&upload.id).await.map_err(unkept)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn known(app: &AppState, id: &str) -> Result<Upload, Box<Response>> {
    let found = app.store.upload(id).await.map_err(unkept)?;
    found.ok_or_else(|| refused(StatusCode::NOT_FOUND, Code::NotFound, "there is no such upload"))
}

/// Its file, which nobody else writes to, and its row as it then is.
async fn opened(app: &AppState, id: &str) -> Result<(Part, Upload), Box<Response>> {
    let Some(part) = app.files.part(id).await.map_err(unkept)? else {
        return Err(refused(StatusCode::LOCKED, Code::Conflict, "another node is receiving it: try again in a moment"));
    };
    match known(app, id).await {
        Ok(upload) => Ok((part, upload)),
        Err(refusal) => {
            app.files.delete_upload(id).await.map_err(unkept)?;
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
