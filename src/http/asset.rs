//! Files that are compiled into the binary. Clients revalidate them at each use.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::accept_encoding::{accepts_gzip, list_entries};

/// Content-Security-Policy of pages: they load only from this server and open only its WebSocket.
pub const CONTENT_POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A file compiled into the binary.
#[derive(Debug)]
pub struct Asset {
    /// Last part of its path.
    pub name: &'static str,
    /// Media type.
    pub media_type: &'static str,
    /// Content, as it is sent.
    pub content: &'static [u8],
    /// True if `content` is compressed with gzip.
    pub gzipped: bool,
}

impl Asset {
    /// Responds to GET or HEAD: 200 with the file, 304 if the client has it, 406 if the file is compressed and the client
    /// refuses gzip.
    pub fn answer(&self, request: &HeaderMap) -> Response {
        let tag = self.tag();
        if self.gzipped && !accepts_gzip(request) {
            return refusal();
        }
        let mut answer = if has_already(request, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            Body::from(Bytes::from_static(self.content)).into_response()
        };
        self.describe(answer.headers_mut(), &tag);
        answer
    }

    fn describe(&self, headers: &mut HeaderMap, tag: &str) {
        let mut set = |name: HeaderName, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(CONTENT_TYPE, self.media_type);
        set(CACHE_CONTROL, "no-cache");
        set(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
        set(REFERRER_POLICY, "no-referrer");
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        if self.gzipped {
            set(CONTENT_ENCODING, "gzip");
            set(VARY, "Accept-Encoding");
        }
        if let Ok(tag) = HeaderValue::from_str(tag) {
            headers.insert(ETAG, tag);
        }
    }

    /// Strong ETag: the first half of the SHA-256 of the sent bytes.
    fn tag(&self) -> String {
        let hash = Sha256::digest(self.content);
        let half: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{half}\"")
    }
}

fn refusal() -> Response {
    let text = "This file is compressed. Accept Content-Encoding gzip.\n";
    (StatusCode::NOT_ACCEPTABLE, [(VARY, "Accept-Encoding")], text).into_response()
}

/// Returns true if If-None-Match is `*` or has the tag, compared weakly (RFC 9110, 13.1.2).
fn has_already(request: &HeaderMap, tag: &str) -> bool {
    list_entries(request, IF_NONE_MATCH).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}
