//! Results of tasks: GET and HEAD /download/ID.

use std::io::{self, SeekFrom};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::Site;
use super::range::{Wanted, wanted};
use super::uploads::error;
use crate::kinds::import;
use crate::store;
use crate::task::{self, ResultFile, Task};

/// Bytes that are read and sent at once.
const CHUNK: usize = 128 * 1024;

/// The task's result: 404 for an unknown id, 409 with the state where it is not COMPLETED, 410 where the file is gone.
pub async fn result(State(site): State<Site>, Path(id): Path<String>, method: Method, headers: HeaderMap) -> Response {
    let result = |task: &Task| task.result.clone().filter(|_| task.kind != import::NAME);
    file(&site, &id, result, &method, &headers).await
}

/// The rejected rows of an import, in the same way.
pub async fn rejects(State(site): State<Site>, Path(id): Path<String>, method: Method, headers: HeaderMap) -> Response {
    file(&site, &id, |task| import::api::rejects(task).cloned(), &method, &headers).await
}

async fn file(
    site: &Site,
    id: &str,
    of: impl Fn(&Task) -> Option<ResultFile>,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let unknown = || error(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such task");
    let Ok(id) = id.parse() else { return unknown() };
    let task = match site.store.get(id).await {
        Ok(Some(task)) => task,
        Ok(None) => return unknown(),
        Err(problem) => return away(&problem),
    };
    if task.state != task::State::Completed {
        let text = format!("task {} is {}: its file is there once it is COMPLETED", task.id, task.state);
        return error(StatusCode::CONFLICT, "INVALID_STATE", &text);
    }
    match of(&task) {
        Some(file) => send(site, &task, &file, method, headers).await,
        None => error(StatusCode::NOT_FOUND, "NOT_FOUND", "this task left no such file"),
    }
}

async fn send(site: &Site, task: &Task, file: &ResultFile, method: &Method, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", file.sha256);
    let content = match File::open(site.files.result(task.id)).await {
        Ok(content) => content,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return error(StatusCode::GONE, "NOT_FOUND", "the result was deleted");
        }
        Err(cause) => {
            tracing::error!(task = %task.id, %cause, "a result cannot be read");
            return error(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the result cannot be read");
        }
    };
    let answer = match wanted(headers, &tag, file.size) {
        Wanted::NotModified => Ok(StatusCode::NOT_MODIFIED.into_response()),
        Wanted::Unsatisfiable => Ok(unsatisfiable(file.size)),
        Wanted::Whole => part(content, 0, file.size, StatusCode::OK, method).await,
        Wanted::Part(range) => {
            let (from, to) = range.into_inner();
            let sent = part(content, from, to - from + 1, StatusCode::PARTIAL_CONTENT, method).await;
            sent.map(|answer| with(answer, header::CONTENT_RANGE, &format!("bytes {from}-{to}/{}", file.size)))
        }
    };
    match answer {
        Ok(answer) => described(answer, file, &tag),
        Err(cause) => {
            tracing::error!(task = %task.id, %cause, "a result cannot be read");
            error(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the result cannot be read")
        }
    }
}

async fn part(mut content: File, from: u64, length: u64, status: StatusCode, method: &Method) -> io::Result<Response> {
    content.seek(SeekFrom::Start(from)).await?;
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from_stream(ReaderStream::with_capacity(content.take(length), CHUNK)),
    };
    Ok(with((status, body).into_response(), header::CONTENT_LENGTH, &length.to_string()))
}

fn unsatisfiable(size: u64) -> Response {
    let answer = error(StatusCode::RANGE_NOT_SATISFIABLE, "BAD_USER_INPUT", "the file has no such bytes");
    with(answer, header::CONTENT_RANGE, &format!("bytes */{size}"))
}

/// What a browser needs to save it, to go on with it, and to know that it has it already.
fn described(answer: Response, file: &ResultFile, tag: &str) -> Response {
    let answer = with(answer, header::ETAG, tag);
    let answer = with(answer, header::ACCEPT_RANGES, "bytes");
    let answer = with(answer, header::CACHE_CONTROL, "private, max-age=31536000, immutable");
    let answer = with(answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if !answer.status().is_success() {
        return answer;
    }
    let answer = with(answer, header::CONTENT_TYPE, &file.content_type);
    // A result's name is the task's own or that of a dataset: letters, digits, `_`, `-` and `.`.
    with(answer, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{}\"", file.name))
}

fn with(mut answer: Response, name: header::HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn away(problem: &store::Error) -> Response {
    tracing::warn!(%problem, "a download waits for the store");
    error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "the task store is away: try again")
}
