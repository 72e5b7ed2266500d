//! Errors of requests. Their text never contains a URL, because a URL can contain a password.

use std::error::Error;
use std::fmt::Display;

use crate::UrlError;
use crate::withheld::Withheld;

/// Reason for which a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The URL, or one that it redirects to, is not allowed. A retry fails too.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The server was not reached, so nothing was sent. A retry can succeed.
    #[error("{0}")]
    Connect(String),
    /// The caller withdrew its permission before the first byte was sent.
    #[error("not sent: the permission was withdrawn")]
    Withheld,
    /// The connection broke, and the server may have received the request. A retry can succeed.
    #[error("{0}")]
    Broken(String),
}

/// The client cannot be created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct SetupError(String);

impl SetupError {
    pub(crate) fn new(cause: impl Display) -> SetupError {
        SetupError(cause.to_string())
    }
}

/// Describes the innermost cause only: it comes from the system or from TLS, which know no URL.
pub(crate) fn from_reqwest(error: reqwest::Error) -> RequestError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    let mut innermost = String::new();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<UrlError>() {
            return RequestError::Url(refused.clone());
        }
        if inner.is::<Withheld>() {
            return RequestError::Withheld;
        }
        innermost = inner.to_string();
        cause = inner.source();
    }
    let summary = match () {
        () if error.is_timeout() && error.is_connect() => "connection timed out",
        () if error.is_timeout() => "timed out waiting for data from the server",
        () if error.is_connect() => "could not connect",
        () => "connection broken",
    };
    let text = if error.source().is_some() { format!("{summary}: {innermost}") } else { summary.to_owned() };
    if error.is_connect() { RequestError::Connect(text) } else { RequestError::Broken(text) }
}
