//! Logs outages of the bucket: one line when an outage begins, and one when it ends.

use std::error::Error as _;
use std::iter::successors;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::StatusCode;
use object_store::client::{HttpError, HttpRequest, HttpResponse, HttpService};

use crate::clock::Clock;
use crate::lock::lock;

/// Time without an answer but errors after which the bucket is unavailable. Single errors are normal: requests are repeated.
const OUTAGE: Duration = Duration::from_secs(1);

/// The state of the bucket, as the answers to all requests of this node tell it. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct BucketAvailability(Arc<Mutex<Answers>>);

#[derive(Debug)]
struct Answers {
    /// Time of the last answer that is no error of the server.
    last: Instant,
    /// Beginning of the first request since then that failed.
    failing_since: Option<Instant>,
    /// Beginning of the outage that was logged.
    outage: Option<Instant>,
}

/// A client whose answers are observed.
#[derive(Debug)]
pub(super) struct ObservedClient<S> {
    client: S,
    availability: BucketAvailability,
}

impl BucketAvailability {
    /// A bucket that is available at first.
    pub(super) fn new() -> BucketAvailability {
        BucketAvailability(Arc::new(Mutex::new(Answers::new(Clock::monotonic()))))
    }

    /// Returns a client whose answers are observed.
    pub(super) fn observe<S: HttpService>(&self, client: S) -> ObservedClient<S> {
        ObservedClient { client, availability: self.clone() }
    }

    /// Records the outcome of a request that began at `begin`.
    fn ended(&self, begin: Instant, outcome: &Result<HttpResponse, HttpError>) {
        let now = Clock::monotonic();
        let Some(error) = problem(outcome) else {
            let ended = lock(&self.0).answered(now);
            if let Some(lasted) = ended {
                tracing::info!(seconds = lasted.as_secs(), "S3 is available again");
            }
            return;
        };
        let begins = lock(&self.0).failed(begin, now);
        if begins {
            tracing::warn!(error, "S3 is unavailable; requests that need it fail, and tasks wait");
        }
    }
}

impl Answers {
    fn new(now: Instant) -> Answers {
        Answers { last: now, failing_since: None, outage: None }
    }

    /// Records a failure. Returns true if an outage begins.
    fn failed(&mut self, begin: Instant, now: Instant) -> bool {
        let since = *self.failing_since.get_or_insert(begin.max(self.last));
        let begins = self.outage.is_none() && now.saturating_duration_since(since) >= OUTAGE;
        if begins {
            self.outage = Some(since);
        }
        begins
    }

    /// Records an answer. Returns the duration of the outage that it ends.
    fn answered(&mut self, now: Instant) -> Option<Duration> {
        self.last = now;
        self.failing_since = None;
        self.outage.take().map(|since| now.saturating_duration_since(since))
    }
}

#[async_trait]
impl<S: HttpService> HttpService for ObservedClient<S> {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let begin = Clock::monotonic();
        let outcome = self.client.call(request).await;
        self.availability.ended(begin, &outcome);
        outcome
    }
}

/// Returns what is wrong with the server. None if it answered, be it with a refusal, or that it has no space.
fn problem(outcome: &Result<HttpResponse, HttpError>) -> Option<String> {
    match outcome {
        Ok(answer) => {
            let status = answer.status();
            let fails = status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE;
            (fails || status == StatusCode::TOO_MANY_REQUESTS).then(|| format!("S3 answered {status}"))
        }
        // The first causes have the URL.
        Err(error) => {
            let cause = successors(error.source(), |cause| (*cause).source()).last();
            Some(cause.map_or_else(|| error.to_string(), |cause| format!("S3 does not answer: {cause}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_when_only_errors_came_for_a_second_and_ends_with_an_answer() {
        let (begin, second) = (Clock::monotonic(), Duration::from_secs(1));
        let mut answers = Answers::new(begin);
        assert!(!answers.failed(begin, begin + second / 2));
        assert!(answers.failed(begin + second, begin + second), "since the first of these requests began");
        assert!(!answers.failed(begin, begin + 9 * second), "it is logged once");
        assert_eq!(answers.answered(begin + 10 * second), Some(10 * second));
        assert_eq!(answers.answered(begin + 10 * second), None);
        // A request that hangs tells nothing while others are answered.
        assert!(!answers.failed(begin, begin + 10 * second + second / 2));
        assert_eq!(answers.answered(begin + 11 * second), None);
        assert!(!answers.failed(begin + 12 * second, begin + 12 * second));
        assert!(answers.failed(begin + 12 * second, begin + 13 * second));
    }
}
