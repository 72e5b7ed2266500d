//! Checks of request headers that others name.

use reqwest::header::{HeaderName, HeaderValue};

/// Headers that frame a request: setting them could make a server misread where the request ends or whom it is for.
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

/// Reason for which a header is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name contains characters that are not allowed in header names.
    #[error("{0:?} is not a valid header name")]
    Name(String),
    /// The value contains characters that are not allowed in header values.
    #[error("the value of header {0:?} contains a character that is not allowed, such as a line break")]
    Value(String),
    /// The header is reserved.
    #[error("header {0:?} is set by the server and cannot be given")]
    Reserved(String),
}

/// Checks that a header can be sent as it is.
///
/// # Errors
/// [`HeaderError`] if the name or the value is invalid, or the name is reserved.
pub fn check_header(name: &str, value: &str) -> Result<(), HeaderError> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::Name(name.to_owned()))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(HeaderError::Reserved(name.to_owned()));
    }
    HeaderValue::from_str(value).map(drop).map_err(|_| HeaderError::Value(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_reserved_and_malformed_headers() {
        assert_eq!(check_header("X-Key", "a b"), Ok(()));
        assert_eq!(check_header("Content-Length", "0"), Err(HeaderError::Reserved("Content-Length".into())));
        assert_eq!(check_header("HOST", "a"), Err(HeaderError::Reserved("HOST".into())));
        assert_eq!(check_header("a b", "c"), Err(HeaderError::Name("a b".into())));
        assert_eq!(check_header("x", "a\r\nhost: b"), Err(HeaderError::Value("x".into())));
    }
}
