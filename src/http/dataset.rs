//! Datasets as CSV, straight from the database to the client: GET and HEAD /datasets/NAME.csv. There is no task and no file;
//! rows are read as fast as the client takes them, as they stood when the stream began.

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
use crate::datasets::{
    self, Column, ColumnFilter, CsvLines, DatasetName, PIN_LIFE, PageLimit, PinHolder, RowWindow, Selection,
    SnapshotReader,
};
use crate::state::AppState;
use crate::task::Code;

/// Rows of a window, and bytes at which a page ends.
const WINDOW: u64 = 8192;
const PAGE_BYTES: usize = 1 << 20;

/// Seconds after which a stream that was refused as too busy is worth another attempt.
const RETRY_AFTER: &str = "5";

/// What the address may say behind the question mark.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvQuery {
    /// The wanted columns in order, as a line of CSV; all where it is not given.
    columns: Option<String>,
    /// The filters that all must hold, as a list in JSON like that of `startExport`; all rows where it is not given.
    #[serde(rename = "where")]
    filters: Option<String>,
    /// Guards cells that a spreadsheet would run as a formula.
    #[serde(default)]
    guard_formulas: bool,
}

/// What goes to the client.
enum StreamItem {
    Bytes(Bytes),
    /// All rows are sent. A stream that ends without it has broken off.
    End,
}

/// A stream under way.
struct CsvStream {
    app: AppState,
    holder: PinHolder,
    reader: Arc<dyn SnapshotReader>,
    rows: u64,
    guard: bool,
    _permit: OwnedSemaphorePermit,
    to: mpsc::Sender<StreamItem>,
}

/// The dataset's rows: 404 where there is no such dataset, 400 for columns that it has not and filters that do not fit them.
pub async fn stream(
    State(app): State<AppState>,
    RequestCaller(caller): RequestCaller,
    Path(file): Path<String>,
    asked: Result<Query<CsvQuery>, axum::extract::rejection::QueryRejection>,
    method: Method,
) -> Response {
    let Some(name) = file.strip_suffix(".csv").and_then(|name| name.parse::<DatasetName>().ok()) else {
        return error(
            StatusCode::NOT_FOUND,
            Code::NotFound,
            "there is no such dataset: the address is /datasets/NAME.csv",
        );
    };
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(problem) => return error(StatusCode::BAD_REQUEST, Code::BadUserInput, &problem.body_text()),
    };
    let begun = if method == Method::HEAD {
        look(&app, &caller, &name, &asked).await
    } else {
        begin(app, &caller, &name, &asked).await
    };
    begun.map_or_else(|refusal| *refusal, |body| described(body, &name))
}

/// Whether it could begin.
async fn look(app: &AppState, caller: &Caller, name: &DatasetName, asked: &CsvQuery) -> Result<Body, Box<Response>> {
    let found = app.datasets.get(caller, name).await.map_err(refuse)?;
    let dataset = found.ok_or_else(|| refuse(datasets::Error::Missing(name.clone())))?;
    select(&dataset.columns, asked)?;
    Ok(Body::empty())
}

async fn begin(app: AppState, caller: &Caller, name: &DatasetName, asked: &CsvQuery) -> Result<Body, Box<Response>> {
    let _body = look(&app, caller, name, asked).await?;
    let permit = Arc::clone(&app.csv_streams).try_acquire_owned().map_err(|_| too_busy(&app))?;
    let holder = PinHolder::Stream(app.clock.task_id());
    let snapshot = app.datasets.pin(caller, holder, name).await.map_err(refuse)?;
    let selection = match select(&snapshot.columns, asked) {
        Ok(selection) => selection,
        Err(refusal) => {
            let_go(&app, holder).await;
            return Err(refusal);
        }
    };
    let header = CsvLines::header(&selection.columns(&snapshot.columns), asked.guard_formulas);
    let reader = app.datasets.reader(&snapshot, &selection);
    let (to, parts) = mpsc::channel(1);
    let tracker = app.connections.clone();
    let (rows, guard) = (snapshot.rows, asked.guard_formulas);
    tracker.spawn(CsvStream { app, holder, reader, rows, guard, _permit: permit, to }.run(header));
    Ok(Body::from_stream(body(parts)))
}

fn select(columns: &[Column], asked: &CsvQuery) -> Result<Selection, Box<Response>> {
    let refused = |text: &str| Box::new(error(StatusCode::BAD_REQUEST, Code::BadUserInput, text));
    let names = asked.columns.as_deref().map(|line| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
        record.iter().map(str::to_owned).collect::<Vec<_>>()
    });
    let filters = match asked.filters.as_deref().map(serde_json::from_str::<Vec<ColumnFilter>>) {
        None => Vec::new(),
        Some(Ok(filters)) => filters,
        Some(Err(problem)) => {
            let wanted = r#"it is a list such as [{"column":"born","from":"1990-01-01","to":"2000-01-01"}]"#;
            return Err(refused(&format!("where: {problem}: {wanted}")));
        }
    };
    Selection::of(columns, names.as_deref(), &filters).map_err(|invalid| refused(&invalid.to_string()))
}

impl CsvStream {
    /// Sends all rows, unless the client leaves, the server ends or the database fails; then lets go of the snapshot.
    async fn run(self, header: Vec<u8>) {
        let ended = tokio::select! {
            sent = self.send(header) => sent,
            kept = self.keep() => kept,
            () = self.to.closed() => Ok(()),
            () = self.app.ending.cancelled() => Ok(()),
        };
        if let Err(problem) = ended {
            tracing::warn!(error = %problem, "dataset stream failed");
        }
        self.reader.stop();
        let_go(&self.app, self.holder).await;
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
        // A client that left needs no end.
        let _ = self.to.send(StreamItem::End).await;
        Ok(())
    }

    /// Keeps the snapshot, however slowly the client reads.
    async fn keep(&self) -> Result<(), datasets::Error> {
        loop {
            tokio::time::sleep(PIN_LIFE / 4).await;
            match self.app.datasets.renew(self.holder).await {
                Err(datasets::Error::Unavailable(problem)) => {
                    tracing::warn!(error = problem, "datasets unavailable; retrying to renew the snapshot of a stream")
                }
                renewed => renewed?,
            }
        }
    }
}

/// The parts as a body, which fails where they end before the end.
fn body(parts: mpsc::Receiver<StreamItem>) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    stream::unfold(Some(parts), async |parts| {
        let mut parts = parts?;
        match parts.recv().await {
            Some(StreamItem::Bytes(bytes)) => Some((Ok(bytes), Some(parts))),
            Some(StreamItem::End) => None,
            None => Some((Err(std::io::Error::other("the stream broke off")), None)),
        }
    })
}

async fn let_go(app: &AppState, holder: PinHolder) {
    if let Err(problem) = app.datasets.unpin(holder).await {
        tracing::warn!(error = %problem, "could not release the snapshot of a stream; it expires by itself");
    }
}

fn described(body: Body, name: &DatasetName) -> Response {
    let mut answer = body.into_response();
    let mut with = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    };
    with(header::CONTENT_TYPE, "text/csv; charset=utf-8");
    with(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}.csv\""));
    with(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // The rows may be others the next time.
    with(header::CACHE_CONTROL, "no-store");
    answer
}

/// 503: as many datasets are streamed as may be at once.
fn too_busy(app: &AppState) -> Box<Response> {
    let text = format!("{} datasets are streamed already: try again", app.config.http.max_streams);
    let answer = error(StatusCode::SERVICE_UNAVAILABLE, Code::TooBusy, &text);
    Box::new(file_response::with(answer, header::RETRY_AFTER, RETRY_AFTER))
}

fn refuse(problem: datasets::Error) -> Box<Response> {
    Box::new(match problem {
        datasets::Error::Missing(_) => error(StatusCode::NOT_FOUND, Code::NotFound, &problem.to_string()),
        datasets::Error::Unavailable(_) => {
            tracing::warn!(error = %problem, "dataset stream refused: datasets unavailable");
            error(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "the database of the datasets is away: try again")
        }
        other => {
            tracing::error!(error = %other, "could not stream a dataset");
            error(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the dataset cannot be read")
        }
    })
}
