//! The reply of a server, read piece by piece.

use bytes::Bytes;
use reqwest::Response;

use crate::RequestError;
use crate::error::from_reqwest;

/// Status and headers of a reply. The body is still to be read.
#[derive(Debug)]
pub struct Reply(Response);

impl Reply {
    pub(crate) fn new(response: Response) -> Reply {
        Reply(response)
    }

    /// Returns the status code, such as 200.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// Returns the status code with its standard phrase, such as `404 Not Found`.
    pub fn status_text(&self) -> String {
        self.0.status().to_string()
    }

    /// Returns a header, or None if it is absent or not plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// Returns the target of a redirect, or None if the reply is not a redirect.
    pub(crate) fn redirect_location(&self) -> Option<&str> {
        let redirects = matches!(self.status(), 301 | 302 | 303 | 307 | 308);
        self.header("location").filter(|_| redirects)
    }

    /// Reads the next piece of the body. Returns None at its end.
    ///
    /// # Errors
    /// [`RequestError`] if the connection breaks or the read timeout passes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RequestError> {
        self.0.chunk().await.map_err(from_reqwest)
    }

    /// Reads the body, at most its first `limit` bytes.
    ///
    /// # Errors
    /// As [`Reply::chunk`].
    pub async fn body(mut self, limit: usize) -> Result<Vec<u8>, RequestError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            let left = limit - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(left)]);
            if body.len() == limit {
                break;
            }
        }
        Ok(body)
    }
}
