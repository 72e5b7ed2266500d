//! Responses with a file: complete, one range, several ranges, or not modified.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::error_response::error;
use super::range::{RequestedContent, requested_content};
use crate::files::{BlobName, BlobReader, BlobStore, FileFault};
use crate::task::{Code, ResultFile};

/// Returns the response to GET or HEAD of a blob that `file` describes: 200, 206, 304, 412 or 416; 410 if it was deleted.
pub async fn send(
    (method, headers): (&Method, &HeaderMap),
    max_ranges: usize,
    blobs: &dyn BlobStore,
    name: &BlobName,
    file: &ResultFile,
) -> Response {
    let content = match open(blobs, name, file).await {
        Ok(content) => content,
        Err(cause) => return unreadable(name, &cause),
    };
    let tag = format!("\"{}\"", file.sha256);
    let response = match requested_content(method, headers, &tag, file.size, max_ranges) {
        RequestedContent::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        RequestedContent::Changed => {
            error(StatusCode::PRECONDITION_FAILED, Code::Conflict, "The ETag of the file is not in If-Match.")
        }
        RequestedContent::Unsatisfiable => {
            let response =
                error(StatusCode::RANGE_NOT_SATISFIABLE, Code::BadUserInput, "The file has no bytes in this range.");
            with(response, header::CONTENT_RANGE, &format!("bytes */{}", file.size))
        }
        RequestedContent::Whole if method == Method::HEAD => {
            with_body(StatusCode::OK, file, file.size, stream::empty())
        }
        RequestedContent::Whole => with_body(StatusCode::OK, file, file.size, content.bytes(0, file.size)),
        RequestedContent::Part(range) => {
            let length = range.end() - range.start() + 1;
            let response = with_body(StatusCode::PARTIAL_CONTENT, file, length, content.bytes(*range.start(), length));
            with(response, header::CONTENT_RANGE, &content_range(&range, file.size))
        }
        RequestedContent::Parts(ranges) => with_ranges(Arc::from(content), file, ranges),
    };
    with_validators(response, &tag)
}

/// Opens the blob. A part of a file is never sent as the complete file.
async fn open(blobs: &dyn BlobStore, name: &BlobName, file: &ResultFile) -> io::Result<Box<dyn BlobReader>> {
    let content = blobs.open(name).await?;
    let found = content.identity().size;
    if found != file.size {
        return Err(io::Error::other(format!("the file has {found} bytes, expected {}", file.size)));
    }
    Ok(content)
}

/// Returns the response if the file cannot be read.
pub fn unreadable(name: &BlobName, cause: &io::Error) -> Response {
    match FileFault::of(cause) {
        FileFault::Missing => error(StatusCode::GONE, Code::NotFound, "The file was deleted."),
        FileFault::Unavailable => {
            tracing::warn!(file = %name, error = %cause, "could not read a file");
            error(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "The file store is unavailable. Try again.")
        }
        FileFault::Full | FileFault::Failed => {
            tracing::error!(file = %name, error = %cause, "could not read a file");
            error(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "The file cannot be read.")
        }
    }
}

/// Returns a response with a body of the file's type, its length and its file name.
fn with_body<S>(status: StatusCode, file: &ResultFile, length: u64, body: S) -> Response
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let response = (status, Body::from_stream(body)).into_response();
    let response = with(response, header::CONTENT_LENGTH, &length.to_string());
    let response = with(response, header::CONTENT_TYPE, &file.content_type);
    with(response, header::CONTENT_DISPOSITION, &disposition(&file.name))
}

/// Returns several ranges as multipart/byteranges (RFC 9110, 14.6).
fn with_ranges(content: Arc<dyn BlobReader>, file: &ResultFile, ranges: Vec<RangeInclusive<u64>>) -> Response {
    // A file contains this text with a probability of 2^-122.
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let head = |range: &RangeInclusive<u64>| {
        let (kind, range) = (&file.content_type, content_range(range, file.size));
        Bytes::from(format!("\r\n--{boundary}\r\ncontent-type: {kind}\r\ncontent-range: {range}\r\n\r\n"))
    };
    let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    let parts: Vec<_> = ranges.into_iter().map(|range| (head(&range), range)).collect();
    let length: u64 = parts.iter().map(|(head, range)| head.len() as u64 + range.end() - range.start() + 1).sum();
    let length = length + end.len() as u64;
    let parts = stream::iter(parts).flat_map(move |(head, range)| {
        let bytes = content.bytes(*range.start(), range.end() - range.start() + 1);
        stream::iter([Ok(head)]).chain(bytes)
    });
    let response = with_body(StatusCode::PARTIAL_CONTENT, file, length, parts.chain(stream::iter([Ok(end)])));
    with(response, header::CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"))
}

fn content_range(range: &RangeInclusive<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start(), range.end())
}

/// Adds the headers for caching and for range requests.
fn with_validators(response: Response, tag: &str) -> Response {
    let response = with(response, header::ETAG, tag);
    let response = with(response, header::ACCEPT_RANGES, "bytes");
    let response = with(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if response.status().is_client_error() {
        return response;
    }
    with(response, header::CACHE_CONTROL, "private, max-age=31536000, immutable")
}

/// Returns Content-Disposition (RFC 6266). A name with other than plain ASCII characters is sent twice: in UTF-8, and with `_` for
/// each such character, for old clients.
pub fn disposition(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$&+-.^_`|~ ()[],@=".contains(c);
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if fallback == name {
        return format!("attachment; filename=\"{name}\"");
    }
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{}", encoded(name))
}

/// Percent-encodes all bytes but the attr-chars of RFC 8187.
fn encoded(name: &str) -> String {
    let attr = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    let each = |byte: u8| if attr(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(each).collect()
}

/// Adds a header. Leaves it out if its value is not valid in a header.
pub fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_file_name_is_sent_to_every_client() {
        let table = [
            ("people.csv", "attachment; filename=\"people.csv\""),
            ("a b (1).csv", "attachment; filename=\"a b (1).csv\""),
            ("Übung \"1\".csv", "attachment; filename=\"_bung _1_.csv\"; filename*=UTF-8''%C3%9Cbung%20%221%22.csv"),
            ("a\\b;c%.csv", "attachment; filename=\"a_b_c_.csv\"; filename*=UTF-8''a%5Cb%3Bc%25.csv"),
            ("表\r\n.csv", "attachment; filename=\"___.csv\"; filename*=UTF-8''%E8%A1%A8%0D%0A.csv"),
        ];
        for (name, expected) in table {
            assert_eq!(disposition(name), expected);
            assert!(HeaderValue::from_str(expected).is_ok());
        }
    }
}
