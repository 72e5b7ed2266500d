//! Headers that clients of this server may set on requests.

use reqwest::header::{HeaderName, HeaderValue};

/// What HTTP itself needs: who sets these could make a receiver misread where the request ends, or whom it is for.
const RESERVED: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a header is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedHeader {
    /// Its name has characters that no name has.
    #[error("{0:?} is no name of a header")]
    Name(String),
    /// Its value has characters that no value has.
    #[error("the value of {0} has characters that a header cannot have, such as a line end")]
    Value(String),
    /// It is set by this server alone.
    #[error("{0} is set by the server and cannot be given")]
    Reserved(String),
}

/// A header that may be sent as it is.
///
/// # Errors
/// A name or a value that is none, or a name that is reserved.
pub fn check_header(name: &str, value: &str) -> Result<(), RefusedHeader> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| RefusedHeader::Name(name.to_owned()))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(RefusedHeader::Reserved(name.to_owned()));
    }
    HeaderValue::from_str(value).map(drop).map_err(|_| RefusedHeader::Value(name.to_owned()))
}
