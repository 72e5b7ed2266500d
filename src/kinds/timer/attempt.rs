//! One try: the request, and what came of it.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::Timer;
use super::spec::Spec;
use crate::runner::Stop;
use crate::task::TaskId;
use outbound::{Reply, RequestError};

/// Bytes of an answer's body that are read, and characters of it that are shown.
const READ: usize = 16 * 1024;
const SHOWN: usize = 200;

/// What came of a try.
#[derive(Debug)]
pub enum Outcome {
    /// An answer.
    Answer(Answer),
    /// No answer.
    Failed(RequestError),
    /// None in time.
    TimedOut(f64),
    /// It was ended while it was under way.
    Cut(Stop),
}

/// An answer, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status and the beginning of the body, for people.
    pub text: String,
    /// Its Retry-After.
    pub retry_after: Option<String>,
}

impl Timer {
    /// Sends the webhook once.
    pub(super) async fn send(&self, id: TaskId, spec: &Spec, at: Timestamp) -> Outcome {
        let address = match self.outbound.check_url(&spec.url) {
            Ok(address) => address.with_segment(&id.to_string()),
            Err(refused) => return Outcome::Failed(refused.into()),
        };
        let body = spec.body.clone().unwrap_or_default();
        let (id, seconds) = (id.to_string(), at.as_second());
        let (timestamp, signature) = (seconds.to_string(), self.signer.sign(&id, seconds, &body));
        let mut headers: Vec<(&str, &str)> = spec.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        headers.extend(spec.content_type().map(|media_type| ("content-type", media_type)));
        headers.extend([("webhook-id", &*id), ("webhook-timestamp", &*timestamp)]);
        headers.extend(signature.as_deref().map(|signature| ("webhook-signature", signature)));
        let sent = async {
            let reply = self.outbound.post(&address, &headers, body.into_bytes()).await?;
            Ok(read(reply).await)
        };
        match tokio::time::timeout(Duration::from_secs_f64(spec.timeout), sent).await {
            Ok(Ok(answer)) => Outcome::Answer(answer),
            Ok(Err(failed)) => Outcome::Failed(failed),
            Err(_) => Outcome::TimedOut(spec.timeout),
        }
    }
}

/// The status is the answer; a body that breaks off does not change it.
async fn read(reply: Reply) -> Answer {
    let (status, line) = (reply.status(), reply.status_text());
    let retry_after = reply.header("retry-after").map(str::to_owned);
    let body = reply.body(READ).await.unwrap_or_default();
    let shown: String = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    let text = if shown.is_empty() { format!("HTTP {line}") } else { format!("HTTP {line}: {shown}") };
    Answer { status, text, retry_after }
}

impl Outcome {
    /// The status of the answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Outcome::Answer(answer) => Some(answer.status),
            _ => None,
        }
    }

    /// It is a success.
    pub fn is_success(&self) -> bool {
        self.status().is_some_and(|status| (200..300).contains(&status))
    }

    /// Why it is none.
    pub fn error(&self) -> Option<String> {
        (!self.is_success()).then(|| self.to_string())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Answer(answer) => f.write_str(&answer.text),
            Outcome::Failed(failed) => write!(f, "{failed}"),
            Outcome::TimedOut(seconds) => write!(f, "no answer within {seconds} seconds"),
            Outcome::Cut(_) => f.write_str("it was stopped before there was an answer"),
        }
    }
}
