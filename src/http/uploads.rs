//! Files from clients: POST /uploads, and the file parts of GraphQL requests. They are streamed to the blob store, never held in
//! memory as a whole.

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

use super::caller::RequestCaller;
use super::error_response::{error, failed, refuse};
use super::tus;
use crate::access::Caller;
use crate::files::UploadOutcome;
use crate::state::AppState;
use crate::store::Upload;
use crate::task::{Code, text};
use graphql_transport::{UploadError, UploadSink};

type UploadBody<'a> = BoxStream<'a, Result<Bytes, io::Error>>;

/// Stores the file parts of GraphQL requests as uploads.
pub struct GraphqlUploads {
    /// The state that uploads are stored in.
    pub app: AppState,
    /// The caller that sends them.
    pub caller: Caller,
}

#[async_trait]
impl UploadSink for GraphqlUploads {
    async fn store(&self, file_name: Option<String>, body: UploadBody<'_>) -> Result<String, UploadError> {
        store_upload(&self.app, &self.caller, file_name, body).await.map(|upload| upload.id)
    }

    async fn release(&self, ids: Vec<String>) {
        for id in ids {
            if let Err(error) = delete_unused(&self.app, &self.caller, &id).await {
                tracing::warn!(upload = id, %error, "could not delete an upload that no task uses");
            }
        }
    }
}

/// POST /uploads: creates a resumable upload if the client speaks tus. Otherwise stores the body, or the first file part of a
/// multipart/form-data body.
pub async fn receive(
    State(app): State<AppState>,
    RequestCaller(caller): RequestCaller,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if tus::is_tus(&headers) {
        return tus::create(&app, &caller, &headers, body).await;
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > app.config.max_upload_bytes.saturating_add(1 << 16)) {
        return refuse(&UploadError::TooLarge { limit: app.config.max_upload_bytes });
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let body = body.into_data_stream().map_err(io::Error::other);
    let stored = match multer::parse_boundary(kind) {
        Ok(boundary) => first_file(&app, &caller, multer::Multipart::new(body, boundary)).await,
        Err(_) => store_upload(&app, &caller, None, body.boxed()).await.map(Some),
    };
    match stored {
        Ok(Some(upload)) => {
            let answer = json!({ "id": upload.id, "size": upload.size, "sha256": upload.sha256 });
            (StatusCode::CREATED, Json(answer)).into_response()
        }
        Ok(None) => error(StatusCode::BAD_REQUEST, Code::BadUserInput, "The form has no file part."),
        Err(problem) => refuse(&problem),
    }
}

async fn first_file(
    app: &AppState,
    caller: &Caller,
    mut form: multer::Multipart<'_>,
) -> Result<Option<Upload>, UploadError> {
    while let Some(field) = form.next_field().await.map_err(|error| UploadError::of_body(&error))? {
        if let Some(name) = field.file_name().map(str::to_owned) {
            return store_upload(app, caller, Some(name), field.map_err(io::Error::other).boxed()).await.map(Some);
        }
    }
    Ok(None)
}

/// Stores a file and its row. Deletes the bytes of one that is incomplete or too large.
async fn store_upload(
    app: &AppState,
    caller: &Caller,
    name: Option<String>,
    mut body: UploadBody<'_>,
) -> Result<Upload, UploadError> {
    if let Some(name) = &name {
        text::check(name, text::FILE_NAME).map_err(|invalid| UploadError::Name(invalid.to_string()))?;
    }
    let limit = app.config.max_upload_bytes;
    let id = app.clock.uuid().to_string();
    let mut writer = app.files.blobs.create_upload(&id, limit).await.map_err(failed)?;
    let problem = loop {
        match body.next().await {
            None => break None,
            Some(Err(error)) => break Some(UploadError::of_body(&error)),
            Some(Ok(bytes)) => match writer.write(&bytes).await {
                Ok(UploadOutcome::Taken) => {}
                Ok(UploadOutcome::TooLarge) => break Some(UploadError::TooLarge { limit }),
                Err(error) => break Some(failed(error)),
            },
        }
    };
    if let Some(problem) = problem {
        writer.abandon().await.map_err(failed)?;
        return Err(problem);
    }
    let complete = writer.finish().await.map_err(failed)?;
    let now = app.clock.now();
    let (size, sha256) = (Some(complete.size), Some(complete.sha256));
    let upload = Upload { id, name, metadata: None, size, sha256, created_at: now, used_at: now };
    if let Err(error) = app.store.add_upload(caller, &upload).await {
        tus::delete_blob(app, &upload.id).await.map_err(failed)?;
        return Err(failed(error));
    }
    Ok(upload)
}

/// Deletes an upload unless a task uses it.
async fn delete_unused(
    app: &AppState,
    caller: &Caller,
    id: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if app.store.delete_upload(caller, id).await? {
        tus::delete_blob(app, id).await?;
    }
    Ok(())
}
