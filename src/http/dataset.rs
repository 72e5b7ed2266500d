//! Streams datasets as CSV from the database to the client: GET and HEAD /datasets/NAME.csv. It creates no task and no
//! file. Rows are read as fast as the client accepts them, from a snapshot of the stream's start.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::caller::RequestCaller;
use super::error_response::error;
use super::file_response;
use crate::access::Caller;
use crate::database::log_failure;
use crate::datasets::{
    self, Column, ColumnFilter, CsvLines, DatasetName, PIN_LIFE, PageLimit, PinHolder, RowWindow, Selection,
    SnapshotReader,
};
use crate::spawn::spawn_tracked;
use crate::state::AppState;
use crate::task::Code;

/// Rows per window, and bytes after which a page ends.
const WINDOW: u64 = 8192;
const PAGE_BYTES: usize = 1 << 20;

/// Seconds after which a client may retry a stream that was refused as too busy.
const RETRY_AFTER: &str = "5";

/// Query parameters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvQuery {
    /// Selected columns in order, as a line of CSV. Default: all.
    columns: Option<String>,
    /// Filters as a JSON list like that of `startExport`. All of them must match. Default: all rows.
    #[serde(rename = "where")]
    filters: Option<String>,
    /// Guards cells that a spreadsheet would run as a formula.
    #[serde(default)]
    guard_formulas: bool,
}

/// A message to the body of the response.
enum StreamItem {
    Bytes(Bytes),
    /// All rows were sent. A stream without it was interrupted.
    End,
}

/// An active stream.
struct CsvStream {
    app: AppState,
    holder: PinHolder,
    reader: Arc<dyn SnapshotReader>,
    rows: u64,
    guard: bool,
    _permit: OwnedSemaphorePermit,
    to: mpsc::Sender<StreamItem>,
}

/// Streams the rows of a dataset. 404 if it does not exist, 400 for unknown columns and filters that do not fit their
/// columns.
pub async fn stream(
    State(app): State<AppState>,
    RequestCaller(caller): RequestCaller,
    Path(file): Path<String>,
    query: Result<Query<CsvQuery>, axum::extract::rejection::QueryRejection>,
    method: Method,
) -> Response {
    let Some(name) = file.strip_suffix(".csv").and_then(|name| name.parse::<DatasetName>().ok()) else {
        return error(StatusCode::NOT_FOUND, Code::NotFound, "Dataset not found. The path is /datasets/NAME.csv.");
    };
    let query = match query {
        Ok(Query(query)) => query,
        Err(problem) => return error(StatusCode::BAD_REQUEST, Code::BadUserInput, &problem.body_text()),
    };
    let begun = if method == Method::HEAD {
        check(&app, &caller, &name, &query).await
    } else {
        begin(app, &caller, &name, &query).await
    };
    begun.map_or_else(|refusal| *refusal, |body| csv_response(body, &name))
}

/// Checks whether the stream could begin.
async fn check(app: &AppState, caller: &Caller, name: &DatasetName, query: &CsvQuery) -> Result<Body, Box<Response>> {
    let found = app.datasets.get(caller, name).await.map_err(refuse)?;
    let dataset = found.ok_or_else(|| refuse(datasets::Error::Missing(name.clone())))?;
    select(&dataset.columns, query)?;
    Ok(Body::empty())
}

async fn begin(app: AppState, caller: &Caller, name: &DatasetName, query: &CsvQuery) -> Result<Body, Box<Response>> {
    let _body = check(&app, caller, name, query).await?;
    let permit = Arc::clone(&app.csv_streams).try_acquire_owned().map_err(|_| too_busy(&app))?;
    let holder = PinHolder::Stream(app.clock.task_id());
    let snapshot = app.datasets.pin(caller, holder, name).await.map_err(refuse)?;
    let selection = match select(&snapshot.columns, query) {
        Ok(selection) => selection,
        Err(refusal) => {
            release(&app, holder).await;
            return Err(refusal);
        }
    };
    let header = CsvLines::header(&selection.columns(&snapshot.columns), query.guard_formulas);
    let reader = app.datasets.reader(&snapshot, &selection);
    let (to, parts) = mpsc::channel(1);
    let tracker = app.connections.clone();
    let (rows, guard) = (snapshot.rows, query.guard_formulas);
    spawn_tracked(&tracker, CsvStream { app, holder, reader, rows, guard, _permit: permit, to }.run(header));
    Ok(Body::from_stream(body(parts)))
}

fn select(columns: &[Column], query: &CsvQuery) -> Result<Selection, Box<Response>> {
    let refused = |text: &str| Box::new(error(StatusCode::BAD_REQUEST, Code::BadUserInput, text));
    let names = query.columns.as_deref().map(|line| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
        record.iter().map(str::to_owned).collect::<Vec<_>>()
    });
    let filters = match query.filters.as_deref().map(serde_json::from_str::<Vec<ColumnFilter>>) {
        None => Vec::new(),
        Some(Ok(filters)) => filters,
        Some(Err(problem)) => {
            let expected = r#"expected a list such as [{"column":"born","from":"1990-01-01","to":"2000-01-01"}]"#;
            return Err(refused(&format!("where: {problem}: {expected}")));
        }
    };
    Selection::of(columns, names.as_deref(), &filters).map_err(|invalid| refused(&invalid.to_string()))
}

impl CsvStream {
    /// Sends all rows, unless the client disconnects, the server stops or the database fails. Then releases the
    /// snapshot.
    async fn run(self, header: Vec<u8>) {
        let ended = tokio::select! {
            sent = self.send(header) => sent,
            renewed = self.renew_pin() => renewed,
            () = self.to.closed() => Ok(()),
            () = self.app.ending.cancelled() => Ok(()),
        };
        if let Err(problem) = ended {
            log_failure!(problem, error = %problem, "dataset stream failed");
        }
        self.reader.stop();
        release(&self.app, self.holder).await;
    }

    async fn send(&self, header: Vec<u8>) -> Result<(), datasets::Error> {
        let limit = PageLimit { rows: u64::MAX, bytes: PAGE_BYTES, guard: self.guard };
        let all = RowWindow { after: 0, last: self.rows };
        let mut pages = pin!(datasets::pages(Arc::clone(&self.reader), all, WINDOW, limit));
        let mut bytes = header;
        loop {
            let taken = timeout(self.app.config.http.send, self.to.send(StreamItem::Bytes(bytes.into()))).await;
            if !matches!(taken, Ok(Ok(()))) {
                return Ok(());
            }
            match pages.next().await {
                Some(page) => bytes = page?.lines.into_bytes(),
                None => break,
            }
        }
        // A client that disconnected needs no end.
        let _ = self.to.send(StreamItem::End).await;
        Ok(())
    }

    /// Renews the snapshot, however slowly the client reads.
    async fn renew_pin(&self) -> Result<(), datasets::Error> {
        loop {
            tokio::time::sleep(PIN_LIFE / 4).await;
            match self.app.datasets.renew(self.holder).await {
                Err(problem) if problem.is_unavailable() => {
                    log_failure!(problem, error = %problem, "datasets unavailable; retrying to renew the snapshot of a stream")
                }
                renewed => renewed?,
            }
        }
    }
}

/// Returns the items as a body, which fails if they stop before the end.
fn body(parts: mpsc::Receiver<StreamItem>) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    stream::unfold(Some(parts), async |parts| {
        let mut parts = parts?;
        match parts.recv().await {
            Some(StreamItem::Bytes(bytes)) => Some((Ok(bytes), Some(parts))),
            Some(StreamItem::End) => None,
            None => Some((Err(std::io::Error::other("the stream was interrupted")), None)),
        }
    })
}

async fn release(app: &AppState, holder: PinHolder) {
    if let Err(problem) = app.datasets.unpin(holder).await {
        log_failure!(problem, error = %problem, "could not release the snapshot of a stream; it expires later");
    }
}

fn csv_response(body: Body, name: &DatasetName) -> Response {
    let mut response = body.into_response();
    let mut with = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    with(header::CONTENT_TYPE, "text/csv; charset=utf-8");
    with(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}.csv\""));
    with(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // The next response may have other rows.
    with(header::CACHE_CONTROL, "no-store");
    response
}

/// Returns 503 when the maximum number of datasets is being streamed.
fn too_busy(app: &AppState) -> Box<Response> {
    let text =
        format!("The limit of {} concurrent dataset streams is reached. Try again.", app.config.http.max_streams);
    let response = error(StatusCode::SERVICE_UNAVAILABLE, Code::TooBusy, &text);
    Box::new(file_response::with(response, header::RETRY_AFTER, RETRY_AFTER))
}

fn refuse(problem: datasets::Error) -> Box<Response> {
    Box::new(match problem {
        datasets::Error::Missing(_) => error(StatusCode::NOT_FOUND, Code::NotFound, &problem.to_string()),
        datasets::Error::Unavailable(_) | datasets::Error::Outage(_) => {
            log_failure!(problem, error = %problem, "dataset stream refused: datasets unavailable");
            error(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "The database of the datasets is unavailable. Try again.",
            )
        }
        other => {
            tracing::error!(error = %other, "could not stream a dataset");
            error(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "The dataset cannot be read. See the server log.")
        }
    })
}
