//! Sending a finished file: whole, in part, in several parts, or not again. Whoever has a file with its name, size, type
//! and SHA-256 can serve it by [`send`].

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::range::{RequestedContent, wanted};
use super::uploads::error;
use crate::files::Reading;
use crate::task::{Code, ResultFile};

/// The answer to GET or HEAD with these headers for the file at `path`, which `file` describes: 200, 206, 304, 412 or 416;
/// 410 where it is gone.
pub async fn send(method: &Method, headers: &HeaderMap, path: PathBuf, file: &ResultFile) -> Response {
    let content = match Reading::open(path.clone(), file.size).await {
        Ok(content) => content,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return error(StatusCode::GONE, Code::NotFound, "the file was deleted");
        }
        Err(cause) => {
            tracing::error!(path = %path.display(), error = %cause, "could not read a file");
            return error(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the file cannot be read");
        }
    };
    let tag = format!("\"{}\"", file.sha256);
    let answer = match wanted(method, headers, &tag, file.size) {
        RequestedContent::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        RequestedContent::Changed => {
            error(StatusCode::PRECONDITION_FAILED, Code::Conflict, "the file is another one than If-Match names")
        }
        RequestedContent::Unsatisfiable => {
            let answer = error(StatusCode::RANGE_NOT_SATISFIABLE, Code::BadUserInput, "the file has no such bytes");
            with(answer, header::CONTENT_RANGE, &format!("bytes */{}", file.size))
        }
        RequestedContent::Whole if method == Method::HEAD => sized(StatusCode::OK, file, file.size, stream::empty()),
        RequestedContent::Whole => sized(StatusCode::OK, file, file.size, content.bytes(0, file.size)),
        RequestedContent::Part(range) => {
            let length = range.end() - range.start() + 1;
            let answer = sized(StatusCode::PARTIAL_CONTENT, file, length, content.bytes(*range.start(), length));
            with(answer, header::CONTENT_RANGE, &content_range(&range, file.size))
        }
        RequestedContent::Parts(ranges) => several(&content, file, ranges),
    };
    described(answer, &tag)
}

/// A body of the file's own type, and what a browser needs to save it.
fn sized<S>(status: StatusCode, file: &ResultFile, length: u64, body: S) -> Response
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let answer = (status, Body::from_stream(body)).into_response();
    let answer = with(answer, header::CONTENT_LENGTH, &length.to_string());
    let answer = with(answer, header::CONTENT_TYPE, &file.content_type);
    with(answer, header::CONTENT_DISPOSITION, &disposition(&file.name))
}

/// Several ranges as multipart/byteranges (RFC 9110, 14.6).
fn several(content: &Reading, file: &ResultFile, ranges: Vec<RangeInclusive<u64>>) -> Response {
    // A line of a file can be this only with a probability of 2^-122.
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let head = |range: &RangeInclusive<u64>| {
        let (kind, place) = (&file.content_type, content_range(range, file.size));
        Bytes::from(format!("\r\n--{boundary}\r\ncontent-type: {kind}\r\ncontent-range: {place}\r\n\r\n"))
    };
    let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    let parts: Vec<_> = ranges.into_iter().map(|range| (head(&range), range)).collect();
    let length: u64 = parts.iter().map(|(head, range)| head.len() as u64 + range.end() - range.start() + 1).sum();
    let length = length + end.len() as u64;
    let content = content.clone();
    let parts = stream::iter(parts).flat_map(move |(head, range)| {
        let bytes = content.bytes(*range.start(), range.end() - range.start() + 1);
        stream::iter([Ok(head)]).chain(bytes)
    });
    let answer = sized(StatusCode::PARTIAL_CONTENT, file, length, parts.chain(stream::iter([Ok(end)])));
    with(answer, header::CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"))
}

fn content_range(range: &RangeInclusive<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start(), range.end())
}

/// What a client needs to go on with it, and to know that it has it already.
fn described(answer: Response, tag: &str) -> Response {
    let answer = with(answer, header::ETAG, tag);
    let answer = with(answer, header::ACCEPT_RANGES, "bytes");
    let answer = with(answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if answer.status().is_client_error() {
        return answer;
    }
    with(answer, header::CACHE_CONTROL, "private, max-age=31536000, immutable")
}

/// The name to save it under (RFC 6266): plain where it is plain; else in UTF-8, and for old clients with `_` for each
/// other character.
fn disposition(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$&+-.^_`|~ ()[],@=".contains(c);
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if fallback == name {
        return format!("attachment; filename=\"{name}\"");
    }
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{}", encoded(name))
}

/// Percent-encoded but for the attr-chars of RFC 8187.
fn encoded(name: &str) -> String {
    let attr = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    let each = |byte: u8| if attr(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(each).collect()
}

/// The answer with that header; a value that no header can have is left out.
pub fn with(mut answer: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_saved_as_they_are() {
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
