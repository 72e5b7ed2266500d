//! Limits how many operations a client may start.

use std::time::Duration;

use async_graphql::ServerError;
use async_trait::async_trait;

use super::codes::{self, Code};

/// Limit of one client.
#[async_trait]
pub trait OperationLimit: Send + Sync {
    /// Counts an operation: a request over HTTP, or one of a WebSocket.
    ///
    /// # Errors
    /// If the client must wait.
    async fn admit(&self) -> Result<(), LimitExceeded>;
}

/// A client exceeded its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    /// Text for the client.
    pub message: String,
    /// Time after which an operation is admitted again.
    pub retry_after: Duration,
}

impl LimitExceeded {
    /// Returns the time to wait in whole seconds, at least one.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        let begun = u64::from(self.retry_after.subsec_nanos() > 0);
        (self.retry_after.as_secs() + begun).max(1)
    }

    /// Returns the error for the client. Its extensions have the code RATE_LIMITED and `retryAfterSeconds`.
    pub(crate) fn error(&self) -> ServerError {
        let mut error = codes::error(Code::RateLimited, self.message.clone());
        if let Some(extensions) = &mut error.extensions {
            extensions.set("retryAfterSeconds", self.seconds());
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            let exceeded = LimitExceeded { message: String::new(), retry_after: Duration::from_millis(millis) };
            assert_eq!(exceeded.seconds(), seconds);
        }
    }
}
