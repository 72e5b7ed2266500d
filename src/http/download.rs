//! Results of tasks: GET and HEAD /download/ID.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::file_response;
use super::uploads::error;
use crate::state::AppState;
use crate::store;
use crate::task::{self, Code, ResultFile, Task};

/// The task's result: 404 for an unknown id, 409 with the state where it is not COMPLETED, 410 where the file is gone.
pub async fn result(
    State(app): State<AppState>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    file(&app, &id, |task| app.runner.result_file(task), &method, &headers).await
}

/// The rejected rows of an import, in the same way; those of one that FAILED past maxBadRows too.
pub async fn rejects(
    State(app): State<AppState>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    file(&app, &id, |task| app.runner.rejects_file(task), &method, &headers).await
}

async fn file(
    app: &AppState,
    id: &str,
    of: impl Fn(&Task) -> Option<ResultFile>,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let unknown = || error(StatusCode::NOT_FOUND, Code::NotFound, "there is no such task");
    let Ok(id) = id.parse() else { return unknown() };
    let task = match app.store.get(id).await {
        Ok(Some(task)) => task,
        Ok(None) => return unknown(),
        Err(problem) => return away(&problem),
    };
    match of(&task) {
        None if task.state != task::State::Completed => {
            let text = format!("task {} is {}: its file is there once it is COMPLETED", task.id, task.state);
            error(StatusCode::CONFLICT, Code::InvalidState, &text)
        }
        Some(file) => file_response::send(method, headers, app.files.result(task.id), &file).await,
        None => error(StatusCode::NOT_FOUND, Code::NotFound, "this task left no such file"),
    }
}

fn away(problem: &store::Error) -> Response {
    tracing::warn!(error = %problem, "download refused: store unavailable");
    error(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "the task store is away: try again")
}
