//! The headers of tus: what a request must have, and what an answer says.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::{TusResult, bad, refused};
use crate::state::AppState;
use crate::store::Upload;
use crate::task::Code;

/// The version that is spoken.
const VERSION: &str = "1.0.0";

/// What is spoken beyond the core.
const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,termination,expiration";

pub const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub const DEFER: HeaderName = HeaderName::from_static("upload-defer-length");
pub const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
const OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// What a web page of an allowed origin may read of an answer.
pub const EXPOSED: [HeaderName; 10] =
    [header::LOCATION, OFFSET, LENGTH, DEFER, METADATA, EXPIRES, RESUMABLE, VERSIONS, EXTENSION, MAX_SIZE];

/// The request is one of tus.
pub fn speaks(headers: &HeaderMap) -> bool {
    headers.contains_key(RESUMABLE)
}

/// Refuses a request of another version, or of none.
pub fn checked(headers: &HeaderMap) -> Result<(), Box<Response>> {
    if headers.get(RESUMABLE).is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let text = "the header Tus-Resumable: 1.0.0 is needed; no other version is spoken here";
    let mut refusal = refused(StatusCode::PRECONDITION_FAILED, Code::BadUserInput, text);
    refusal.headers_mut().insert(VERSIONS, HeaderValue::from_static(VERSION));
    Err(refusal)
}

/// The method, or what a client that cannot send it says instead.
pub fn method(method: &Method, headers: &HeaderMap) -> Method {
    let instead = headers.get(OVERRIDE).filter(|_| method == Method::POST);
    instead.and_then(|name| Method::from_bytes(name.as_bytes()).ok()).unwrap_or_else(|| method.clone())
}

/// A header that is a count.
pub fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Box<Response>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(n) => Ok(Some(n)),
        None => Err(bad(&format!("{name} must be a whole number"))),
    }
}

/// Says the version, whatever the answer is.
pub fn stamped(answer: TusResult) -> Response {
    let answer = answer.unwrap_or_else(|refusal| *refusal);
    with(answer, RESUMABLE, VERSION)
}

/// What is known of an upload: its size and metadata, and until when it stays.
pub fn described(answer: Response, app: &AppState, upload: &Upload) -> Response {
    let answer = match upload.size {
        Some(size) => with(answer, LENGTH, &size.to_string()),
        None => with(answer, DEFER, "1"),
    };
    let answer = match &upload.metadata {
        Some(metadata) => with(answer, METADATA, metadata),
        None => answer,
    };
    expiring(answer, app, upload)
}

/// Until when an upload stays that nobody goes on with.
pub fn expiring(answer: Response, app: &AppState, upload: &Upload) -> Response {
    let at = app.config.upload_life.and_then(|life| upload.used_at.checked_add(life).ok());
    match at.and_then(|at| DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()) {
        Some(date) => with(answer, EXPIRES, &date),
        None => answer,
    }
}

/// Tells what is spoken here: for every OPTIONS, which browsers send before they upload.
pub fn announce(answer: Response, limit: u64) -> Response {
    let answer = with(answer, RESUMABLE, VERSION);
    let answer = with(answer, VERSIONS, VERSION);
    let answer = with(answer, EXTENSION, EXTENSIONS);
    let mut answer = with(answer, MAX_SIZE, &limit.to_string());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// The answer with that header; a value that no header can have is left out.
pub fn with(answer: Response, name: HeaderName, value: &str) -> Response {
    crate::http::file_response::with(answer, name, value)
}
