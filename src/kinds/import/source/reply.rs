//! What a server answers to who asks for a file or its rest, and what that says of the version.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use super::super::spec::Identity;
use super::fetch::Broken;
use super::spool::too_large;
use crate::runner::Failure;
use outbound::{CheckedUrl, Outbound, Reply};

/// An answer that can be used.
pub enum Start {
    /// The file from a byte on.
    Body {
        /// The answer, whose body is to come.
        reply: Reply,
        /// The byte.
        from: u64,
        /// Bytes of the whole file, where the server tells.
        size: Option<u64>,
        /// What names the version.
        version: Option<String>,
    },
    /// All of the file is here already.
    Whole,
}

impl Start {
    /// It is surely the version of `identity`, of which `here` bytes are here.
    pub fn proves(&self, identity: &Identity, here: u64) -> bool {
        match self {
            Start::Whole => true,
            Start::Body { from, version, .. } => {
                (*from > 0 && *from == here) || (version.is_some() && *version == identity.version)
            }
        }
    }

    /// What tells this version from others: its name, or one that no other has.
    pub fn identity(&self) -> Identity {
        let (size, version) = match self {
            Start::Whole => (None, None),
            Start::Body { size, version, .. } => (*size, version.clone()),
        };
        let version = version.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        Identity { size: size.unwrap_or(0), modified: 0, version: Some(version) }
    }
}

/// Asks for the file of `identity` from `at` on.
pub async fn ask(
    outbound: &Outbound,
    address: &CheckedUrl,
    identity: &Identity,
    at: u64,
    limit: u64,
) -> Result<Start, Broken> {
    let range = format!("bytes={at}-");
    let mut headers = vec![("accept", "text/csv, */*;q=0.9"), ("accept-encoding", "identity")];
    if let Some(version) = identity.version.as_deref().filter(|version| at > 0 && is_named(version)) {
        headers.extend([("range", range.as_str()), ("if-range", version)]);
    }
    let reply = outbound.get(address, &headers).await?;
    let start = match reply.status() {
        200 => body(reply, 0),
        206 => rest(reply, identity, at)?,
        416 if total(&reply) == Some(at) => Start::Whole,
        416 => return Err(Broken::Failed(changed())),
        408 | 425 | 429 | 500..=599 => return Err(again(&reply)),
        _ => {
            let text = format!("the server of its URL answered {}", reply.status_text());
            return Err(Broken::Failed(Failure::input(text)));
        }
    };
    match &start {
        Start::Body { size: Some(size), .. } if *size > limit => Err(Broken::Failed(too_large(limit))),
        _ => Ok(start),
    }
}

/// The file is another one than that of which rows are read.
pub fn changed() -> Failure {
    Failure::input("the file at its URL changed since the import began: terminate it and start a new one")
}

fn body(reply: Reply, from: u64) -> Start {
    let length = reply.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let size = if from > 0 { total(&reply) } else { length };
    let version = version(&reply);
    Start::Body { reply, from, size, version }
}

/// A part, which must begin where it was asked to.
fn rest(reply: Reply, identity: &Identity, at: u64) -> Result<Start, Broken> {
    let from: Option<u64> =
        reply.header("content-range").and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    let other = version(&reply).is_some_and(|version| identity.version.as_ref() != Some(&version));
    match from {
        Some(from) if from == at && at > 0 && !other => Ok(body(reply, at)),
        Some(_) if other => Err(Broken::Failed(changed())),
        _ => Err(Broken::Failed(Failure::input(
            "the server of its URL sent another part of the file than was asked for",
        ))),
    }
}

/// The size behind the `/` of Content-Range.
fn total(reply: &Reply) -> Option<u64> {
    reply.header("content-range")?.rsplit_once('/')?.1.parse().ok()
}

/// What names the version for If-Range: a strong ETag, or a Last-Modified that is strong by RFC 9110, 8.8.2.2: older than
/// the answer by a second at least.
fn version(reply: &Reply) -> Option<String> {
    if let Some(tag) = reply.header("etag").filter(|tag| tag.starts_with('"')) {
        return Some(tag.to_owned());
    }
    let seconds = |text: &str| Some(DateTimeParser::new().parse_timestamp(text).ok()?.as_second());
    let modified = reply.header("last-modified")?;
    let age = seconds(reply.header("date")?)?.checked_sub(seconds(modified)?)?;
    (age >= 1).then(|| modified.to_owned())
}

/// A name that a server gave, and not one that was made up here.
fn is_named(version: &str) -> bool {
    version.starts_with('"') || version.ends_with("GMT")
}

fn again(reply: &Reply) -> Broken {
    let after = reply.header("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    Broken::Again(format!("it answered {}", reply.status_text()), after)
}
