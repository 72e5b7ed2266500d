//! Errors of S3, as the errors that every blob store has (`FileFault`).

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::iter::successors;

use object_store::client::HttpError;

/// Error codes that mean that there is no space left.
const FULL: [&str; 3] = ["XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"];

/// Error codes that are not the fault of the request: the same request may succeed later, or once the keys are renewed.
const TRANSIENT: [&str; 5] = ["SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "ExpiredToken"];

/// Reason for which a bucket cannot be used.
pub(super) struct RequestFailure {
    pub cause: io::Error,
    /// True if the same request fails again: the bucket is missing, or refuses the keys.
    pub is_final: bool,
}

impl RequestFailure {
    /// An error, unless it says that the object is missing.
    pub(super) fn unless_missing(error: object_store::Error) -> Result<(), RequestFailure> {
        let transient = lost_connection(&error).is_some() || is_transient(&error.to_string());
        let cause = s3_error(error);
        if cause.kind() == ErrorKind::NotFound { Ok(()) } else { Err(RequestFailure { cause, is_final: !transient }) }
    }
}

/// Translates an error. The conversion of the library distinguishes missing objects only.
pub(super) fn s3_error(error: object_store::Error) -> io::Error {
    let text = error.to_string();
    let said = lost_connection(&error).unwrap_or_else(|| summary(&text));
    io::Error::new(kind(&error, &text), said)
}

/// Returns the error of a store that does not answer.
pub(super) fn unavailable(text: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::NetworkDown, text.into())
}

fn kind(error: &object_store::Error, text: &str) -> ErrorKind {
    match error {
        object_store::Error::NotFound { .. } if !text.contains("NoSuchBucket") => ErrorKind::NotFound,
        object_store::Error::NotFound { .. }
        | object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => ErrorKind::NetworkDown,
        _ if status(text) == Some(507) || FULL.iter().any(|code| text.contains(code)) => ErrorKind::StorageFull,
        _ if lost_connection(error).is_some() || is_transient(text) => ErrorKind::NetworkDown,
        _ => ErrorKind::Other,
    }
}

/// Returns what happened if no answer came. Callers see it, so it names no address.
fn lost_connection(error: &object_store::Error) -> Option<String> {
    let mut causes = successors(error.source(), |cause| (*cause).source());
    let at = causes.find(|cause| cause.is::<HttpError>())?;
    let deepest = causes.last().unwrap_or(at);
    Some(format!("S3 does not answer: {deepest}"))
}

fn is_transient(text: &str) -> bool {
    let busy = |status: u16| status >= 500 || status == 429 || status == 408;
    status(text).is_some_and(busy) || TRANSIENT.iter().any(|code| text.contains(code))
}

/// Returns the HTTP status in the text of an error. The library does not export the type that has it.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// Shortens the text of an error: what S3 answered, by code and message, instead of its XML.
fn summary(text: &str) -> String {
    match (element(text, "Code"), element(text, "Message")) {
        (Some(code), Some(message)) => format!("S3 answered {code}: {message}"),
        (Some(code), None) => format!("S3 answered {code}"),
        _ => text.to_owned(),
    }
}

/// Returns the text of the first XML element with this name, without unescaping it.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileFault;

    fn fault(error: object_store::Error) -> FileFault {
        FileFault::of(&s3_error(error))
    }

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn answers_are_told_apart_by_what_may_follow() {
        let slow = "status code: 503 Slow Down: <Error><Code>SlowDown</Code><Message>Wait.</Message></Error>";
        assert_eq!(s3_error(generic(slow)).to_string(), "S3 answered SlowDown: Wait.");
        assert_eq!(fault(generic(slow)), FileFault::Unavailable);
        assert_eq!(fault(generic("status code: 500 x")), FileFault::Unavailable);
        assert_eq!(fault(generic("status code: 507 x")), FileFault::Full);
        assert_eq!(fault(generic("status code: 400 <Code>InvalidPart</Code>")), FileFault::Failed);
        let missing = |text: &str| object_store::Error::NotFound { path: "a".to_owned(), source: text.into() };
        assert_eq!(fault(missing("<Code>NoSuchKey</Code>")), FileFault::Missing);
        assert_eq!(fault(missing("<Code>NoSuchBucket</Code>")), FileFault::Unavailable);
        let denied = object_store::Error::PermissionDenied { path: "a".to_owned(), source: "no".into() };
        assert_eq!(fault(denied), FileFault::Unavailable, "keys are renewed");
    }
}
