//! Early ends of a transfer of a file, and the time of the next attempt.

use std::time::Duration;

use crate::runner::Failure;
use outbound::RequestError;

/// Reading was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading was cancelled")]
pub struct ReadCancelled;

/// Reason for which a transfer ended early.
pub enum DownloadError {
    /// A retry may succeed. The server may have requested a delay.
    Retryable(String, Option<Duration>),
    /// A retry would not succeed, or is the task's: it waits.
    Permanent(Failure),
}

impl From<RequestError> for DownloadError {
    fn from(failed: RequestError) -> DownloadError {
        match failed {
            RequestError::Url(refused) => DownloadError::Permanent(Failure::input(refused.to_string())),
            RequestError::Connect(text) | RequestError::Broken(text) => DownloadError::Retryable(text, None),
            RequestError::Withheld => DownloadError::Retryable(failed.to_string(), None),
        }
    }
}

/// Maximum number of attempts in a row without a new byte, and the delay before the second. It doubles with each.
const ATTEMPTS: u32 = 6;
const BACKOFF: Duration = Duration::from_millis(250);

/// Maximum delay that a server may request.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Counts an attempt. Returns the delay before the next one, and what went wrong.
///
/// # Errors
/// A permanent error, or the last attempt.
pub fn retry_delay(error: DownloadError, attempts: &mut u32) -> Result<(Duration, String), Failure> {
    *attempts += 1;
    let (text, after) = match error {
        DownloadError::Permanent(failure) => return Err(failure),
        DownloadError::Retryable(text, _) if *attempts >= ATTEMPTS => {
            return Err(Failure::unavailable(format!(
                "The download failed {ATTEMPTS} times in a row. Last error: {text}."
            )));
        }
        DownloadError::Retryable(text, after) => (text, after),
    };
    let backoff = BACKOFF * 2u32.pow(*attempts - 1);
    Ok((after.map_or(backoff, |after| after.min(MAX_RETRY_AFTER)), text))
}
