//! GET and HEAD /download/ID: result files of tasks.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::caller::RequestCaller;
use super::error_response::error;
use super::{file_response, redirect};
use crate::access::Caller;
use crate::database::log_failure;
use crate::files::BlobName;
use crate::state::AppState;
use crate::store;
use crate::task::{self, Code, ResultFile, Task};

/// Sends the result of a task: 404 for an unknown ID, 409 with the state unless COMPLETED, 410 if the file was deleted.
pub async fn result(
    State(app): State<AppState>,
    RequestCaller(caller): RequestCaller,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    file(&app, &caller, &id, |task| app.runner.result_file(task), &method, &headers).await
}

/// Sends the rejected rows of an import in the same way, also of an import that FAILED because of maxBadRows.
pub async fn rejects(
    State(app): State<AppState>,
    RequestCaller(caller): RequestCaller,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    file(&app, &caller, &id, |task| app.runner.rejects_file(task), &method, &headers).await
}

async fn file(
    app: &AppState,
    caller: &Caller,
    id: &str,
    of: impl Fn(&Task) -> Option<ResultFile>,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let unknown = || error(StatusCode::NOT_FOUND, Code::NotFound, "Task not found.");
    let Ok(id) = id.parse() else { return unknown() };
    let task = match app.store.get(caller, id).await {
        Ok(Some(task)) => task,
        Ok(None) => return unknown(),
        Err(problem) => return unavailable(&problem),
    };
    match of(&task) {
        None if task.state != task::State::Completed => {
            let text = format!("Task {} is {}. Its file is available once it is COMPLETED.", task.id, task.state);
            error(StatusCode::CONFLICT, Code::InvalidState, &text)
        }
        Some(file) => {
            let name = BlobName::Result(task.id, file.sha256.clone());
            if app.config.files_presigned && method == Method::GET {
                return redirect::send(app.files.blobs.as_ref(), &name, &file, app.config.http.presigned).await;
            }
            let max_ranges = app.config.http.max_ranges;
            file_response::send((method, headers), max_ranges, app.files.blobs.as_ref(), &name, &file).await
        }
        None => error(StatusCode::NOT_FOUND, Code::NotFound, "The task has no such file."),
    }
}

fn unavailable(problem: &store::Error) -> Response {
    log_failure!(problem, error = %problem, "download refused: store unavailable");
    error(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "The task store is unavailable. Try again.")
}
