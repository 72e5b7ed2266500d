//! The headers of tus, in requests and responses.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::{TusResult, bad, refused};
use crate::http::file_response::with;
use crate::state::AppState;
use crate::store::Upload;
use crate::task::Code;

/// Supported version of tus.
const VERSION: &str = "1.0.0";

/// Supported extensions of tus.
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

/// Response headers that a web page of an allowed origin may read.
pub const EXPOSED: [HeaderName; 10] =
    [header::LOCATION, OFFSET, LENGTH, DEFER, METADATA, EXPIRES, RESUMABLE, VERSIONS, EXTENSION, MAX_SIZE];

/// Returns true if the request is one of tus.
pub fn is_tus(headers: &HeaderMap) -> bool {
    headers.contains_key(RESUMABLE)
}

/// Refuses a request without a version, or with one that is not supported.
pub fn check_version(headers: &HeaderMap) -> Result<(), Box<Response>> {
    if headers.get(RESUMABLE).is_some_and(|version| version == VERSION) {
        return Ok(());
    }
    let text = "Send the header Tus-Resumable: 1.0.0. Other versions are not supported.";
    let mut refusal = refused(StatusCode::PRECONDITION_FAILED, Code::BadUserInput, text);
    refusal.headers_mut().insert(VERSIONS, HeaderValue::from_static(VERSION));
    Err(refusal)
}

/// Returns the method, or the one in X-HTTP-Method-Override of a POST.
pub fn method(method: &Method, headers: &HeaderMap) -> Method {
    let instead = headers.get(OVERRIDE).filter(|_| method == Method::POST);
    instead.and_then(|name| Method::from_bytes(name.as_bytes()).ok()).unwrap_or_else(|| method.clone())
}

/// Parses a header that is a count. `None` if it is missing.
pub fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Box<Response>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(n) => Ok(Some(n)),
        None => Err(bad(&format!("{name} must be a whole number, got {value:?}."))),
    }
}

/// Turns a result into a response with the version.
pub fn with_version(result: TusResult) -> Response {
    let response = result.unwrap_or_else(|refusal| *refusal);
    with(response, RESUMABLE, VERSION)
}

/// Adds the size, the metadata and the expiry of an upload.
pub fn with_upload(response: Response, app: &AppState, upload: &Upload) -> Response {
    let response = match upload.size {
        Some(size) => with(response, LENGTH, &size.to_string()),
        None => with(response, DEFER, "1"),
    };
    let response = match &upload.metadata {
        Some(metadata) => with(response, METADATA, metadata),
        None => response,
    };
    with_expiry(response, app, upload)
}

/// Adds the time at which an upload that no client continues is deleted.
pub fn with_expiry(response: Response, app: &AppState, upload: &Upload) -> Response {
    let at = app.config.upload_life.and_then(|life| upload.used_at.checked_add(life).ok());
    match at.and_then(|at| DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()) {
        Some(date) => with(response, EXPIRES, &date),
        None => response,
    }
}

/// Returns the response to OPTIONS: version, extensions and size limit.
pub fn with_capabilities(response: Response, limit: u64) -> Response {
    let response = with(response, RESUMABLE, VERSION);
    let response = with(response, VERSIONS, VERSION);
    let response = with(response, EXTENSION, EXTENSIONS);
    let mut response = with(response, MAX_SIZE, &limit.to_string());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
