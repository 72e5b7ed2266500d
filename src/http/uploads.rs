//! Files from clients: POST /uploads, and the file parts of GraphQL requests. Streamed to disk, never whole in memory.

use std::io;

use async_trait::async_trait;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use serde_json::json;

use super::tus;
use crate::files::Received;
use crate::state::AppState;
use crate::store::{self, Upload};
use crate::task::{Code, text};
use graphql_transport::{UploadError, UploadSink};

type UploadBody<'a> = BoxStream<'a, Result<Bytes, io::Error>>;

/// Where the file parts of GraphQL requests go.
pub struct GraphqlUploads(pub AppState);

#[async_trait]
impl UploadSink for GraphqlUploads {
    async fn store(&self, file_name: Option<String>, body: UploadBody<'_>) -> Result<String, UploadError> {
        keep(&self.0, file_name, body).await.map(|upload| upload.id)
    }

    async fn release(&self, ids: Vec<String>) {
        for id in ids {
            if let Err(error) = forget(&self.0, &id).await {
                tracing::warn!(upload = id, %error, "could not delete an upload that no task uses");
            }
        }
    }
}

/// POST /uploads: the beginning of a resumable upload where the client speaks tus; else the body is the file, or the first file part of a multipart/form-data body.
pub async fn receive(State(app): State<AppState>, headers: HeaderMap, body: Body) -> Response {
    if tus::speaks(&headers) {
        return tus::create(&app, &headers, body).await;
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > app.config.max_upload_bytes.saturating_add(1 << 16)) {
        return refuse(&UploadError::TooLarge { limit: app.config.max_upload_bytes });
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let pieces = body.into_data_stream().map_err(io::Error::other);
    let kept = match multer::parse_boundary(kind) {
        Ok(boundary) => first_file(&app, multer::Multipart::new(pieces, boundary)).await,
        Err(_) => keep(&app, None, pieces.boxed()).await.map(Some),
    };
    match kept {
        Ok(Some(upload)) => {
            let answer = json!({ "id": upload.id, "size": upload.size, "sha256": upload.sha256 });
            (StatusCode::CREATED, Json(answer)).into_response()
        }
        Ok(None) => error(StatusCode::BAD_REQUEST, Code::BadUserInput, "the form holds no file"),
        Err(problem) => refuse(&problem),
    }
}

async fn first_file(app: &AppState, mut form: multer::Multipart<'_>) -> Result<Option<Upload>, UploadError> {
    while let Some(field) = form.next_field().await.map_err(|error| UploadError::of_body(&error))? {
        if let Some(name) = field.file_name().map(str::to_owned) {
            return keep(app, Some(name), field.map_err(io::Error::other).boxed()).await.map(Some);
        }
    }
    Ok(None)
}

/// Streams a file to disk and notes it. Nothing is left of one that is cut off or too large.
async fn keep(app: &AppState, name: Option<String>, mut body: UploadBody<'_>) -> Result<Upload, UploadError> {
    if let Some(name) = &name {
        text::check(name, text::FILE_NAME).map_err(|invalid| UploadError::Name(invalid.to_string()))?;
    }
    let limit = app.config.max_upload_bytes;
    let id = app.clock.uuid().to_string();
    let mut incoming = app.files.receive(&id, limit).await.map_err(failed)?;
    let problem = loop {
        match body.next().await {
            None => break None,
            Some(Err(error)) => break Some(UploadError::of_body(&error)),
            Some(Ok(bytes)) => match incoming.write(&bytes).await {
                Ok(Received::Taken) => {}
                Ok(Received::TooLarge) => break Some(UploadError::TooLarge { limit }),
                Err(error) => break Some(failed(error)),
            },
        }
    };
    if let Some(problem) = problem {
        incoming.abandon().await.map_err(failed)?;
        return Err(problem);
    }
    let whole = incoming.finish().await.map_err(failed)?;
    let now = app.clock.now();
    let (size, sha256) = (Some(whole.size), Some(whole.sha256));
    let upload = Upload { id, name, metadata: None, size, sha256, created_at: now, used_at: now };
    if let Err(error) = app.store.add_upload(&upload).await {
        app.files.delete_upload(&upload.id).await.map_err(failed)?;
        return Err(failed(error));
    }
    Ok(upload)
}

/// Deletes an upload unless a task reads it.
async fn forget(app: &AppState, id: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if app.store.delete_upload(id).await? {
        app.files.delete_upload(id).await?;
    }
    Ok(())
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> UploadError {
    UploadError::Failed(Box::new(error))
}

/// The answer where the disk or the store failed.
pub fn unkept(error: impl std::error::Error + Send + Sync + 'static) -> Box<Response> {
    Box::new(refuse(&failed(error)))
}

/// The answer to an upload that was not kept.
pub fn refuse(problem: &UploadError) -> Response {
    match problem {
        UploadError::TooLarge { .. } => error(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, &problem.to_string()),
        UploadError::Silent => error(StatusCode::REQUEST_TIMEOUT, Code::Timeout, &problem.to_string()),
        UploadError::CutOff | UploadError::Name(_) => {
            error(StatusCode::BAD_REQUEST, Code::BadUserInput, &problem.to_string())
        }
        UploadError::Failed(cause) => {
            tracing::error!(error = %cause, "could not store an upload");
            let full =
                cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::StorageFull);
            let away = matches!(cause.downcast_ref(), Some(store::Error::Unavailable(_) | store::Error::Full(_)));
            let text = if full {
                "the server's disk is full: try again later"
            } else {
                "the file could not be kept: try again"
            };
            let code = if full || away { Code::Unavailable } else { Code::Internal };
            error(StatusCode::SERVICE_UNAVAILABLE, code, text)
        }
    }
}

/// An error outside GraphQL, in GraphQL's form.
pub fn error(status: StatusCode, code: Code, text: &str) -> Response {
    let body = json!({ "errors": [{ "message": text, "extensions": { "code": code.as_str() } }] });
    (status, Json(body)).into_response()
}
