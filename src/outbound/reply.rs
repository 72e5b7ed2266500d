//! An answer, as it comes in.

use bytes::Bytes;
use reqwest::Response;

use super::{Failed, failed};

/// An answer. Its body is still to come.
#[derive(Debug)]
pub struct Reply(Response);

impl Reply {
    pub(super) fn new(response: Response) -> Reply {
        Reply(response)
    }

    /// The status, such as 200.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// The status with its usual words, for people.
    pub fn status_text(&self) -> String {
        self.0.status().to_string()
    }

    /// A header, where it is there and plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// Where a redirect leads; none where it is none.
    pub(super) fn location(&self) -> Option<&str> {
        let redirects = matches!(self.status(), 301 | 302 | 303 | 307 | 308);
        self.header("location").filter(|_| redirects)
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// A body that breaks off or falls silent.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failed> {
        self.0.chunk().await.map_err(failed)
    }

    /// The body, but of a longer one only its first `limit` bytes.
    ///
    /// # Errors
    /// As [`Reply::chunk`].
    pub async fn body(mut self, limit: usize) -> Result<Vec<u8>, Failed> {
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
