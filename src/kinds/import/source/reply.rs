//! Requests a file, or the rest of one, from a server: the response and the version that it has.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use super::super::spec::FileIdentity;
use super::spool::too_large;
use super::transfer::DownloadError;
use crate::runner::Failure;
use outbound::{CheckedUrl, Outbound, Reply};

/// Usable response.
pub enum DownloadStart {
    /// The file from some byte on.
    Body {
        /// The response, whose body follows.
        reply: Reply,
        /// The first byte of the body.
        from: u64,
        /// Size of the complete file, if the server sent it.
        size: Option<u64>,
        /// Version of the file, if the server sent it.
        version: Option<String>,
    },
    /// The complete file is downloaded already.
    Complete,
}

impl DownloadStart {
    /// Returns true if this is certainly the version of `identity`, of which `downloaded` bytes exist.
    pub fn is_same_version(&self, identity: &FileIdentity, downloaded: u64) -> bool {
        match self {
            DownloadStart::Complete => true,
            DownloadStart::Body { from, version, .. } => {
                (*from > 0 && *from == downloaded) || (version.is_some() && *version == identity.version)
            }
        }
    }

    /// Returns the identity of this version: its name, or a unique ID.
    pub fn identity(&self) -> FileIdentity {
        let (size, version) = match self {
            DownloadStart::Complete => (None, None),
            DownloadStart::Body { size, version, .. } => (*size, version.clone()),
        };
        let version = version.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        FileIdentity { size: size.unwrap_or(0), modified: 0, version: Some(version) }
    }
}

/// Requests the file of `identity` from `at` on.
pub async fn request(
    outbound: &Outbound,
    address: &CheckedUrl,
    identity: &FileIdentity,
    at: u64,
    limit: u64,
) -> Result<DownloadStart, DownloadError> {
    let range = format!("bytes={at}-");
    let mut headers = vec![("accept", "text/csv, */*;q=0.9"), ("accept-encoding", "identity")];
    if let Some(version) = identity.version.as_deref().filter(|_| at > 0 && is_from_server(identity)) {
        headers.extend([("range", range.as_str()), ("if-range", version)]);
    }
    let reply = outbound.get(address, &headers).await?;
    let start = match reply.status() {
        200 => full_body(reply, 0),
        206 => partial_body(reply, identity, at)?,
        416 if total(&reply) == Some(at) => DownloadStart::Complete,
        416 => return Err(DownloadError::Permanent(changed())),
        408 | 425 | 429 | 500..=599 => return Err(retryable(&reply)),
        _ => {
            let text = format!("The server of the URL responded with {}.", reply.status_text());
            return Err(DownloadError::Permanent(Failure::input(text)));
        }
    };
    match &start {
        DownloadStart::Body { size: Some(size), .. } if *size > limit => {
            Err(DownloadError::Permanent(too_large(limit)))
        }
        _ => Ok(start),
    }
}

/// Returns the failure of an import whose file changed.
pub fn changed() -> Failure {
    Failure::input("The file at the URL changed since the import began. Terminate the import and start a new one.")
}

fn full_body(reply: Reply, from: u64) -> DownloadStart {
    let length = reply.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let size = if from > 0 { total(&reply) } else { length };
    let version = version(&reply);
    DownloadStart::Body { reply, from, size, version }
}

/// Checks that a partial response begins at the requested byte.
fn partial_body(reply: Reply, identity: &FileIdentity, at: u64) -> Result<DownloadStart, DownloadError> {
    let from: Option<u64> =
        reply.header("content-range").and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    let other = version(&reply).is_some_and(|version| identity.version.as_ref() != Some(&version));
    match from {
        Some(from) if from == at && at > 0 && !other => Ok(full_body(reply, at)),
        Some(_) if other => Err(DownloadError::Permanent(changed())),
        _ => Err(DownloadError::Permanent(Failure::input(
            "The server of the URL sent a different part of the file than requested.",
        ))),
    }
}

/// Returns the total size in Content-Range.
fn total(reply: &Reply) -> Option<u64> {
    reply.header("content-range")?.rsplit_once('/')?.1.parse().ok()
}

/// Returns the version for If-Range: a strong ETag, or a Last-Modified that is strong by RFC 9110, 8.8.2.2, which means at least a
/// second older than the response.
fn version(reply: &Reply) -> Option<String> {
    if let Some(tag) = reply.header("etag").filter(|tag| tag.starts_with('"')) {
        return Some(tag.to_owned());
    }
    let seconds = |text: &str| Some(DateTimeParser::new().parse_timestamp(text).ok()?.as_second());
    let modified = reply.header("last-modified")?;
    let age = seconds(reply.header("date")?)?.checked_sub(seconds(modified)?)?;
    (age >= 1).then(|| modified.to_owned())
}

/// Returns true if the server sent this version. False for a unique ID of this program.
pub fn is_from_server(identity: &FileIdentity) -> bool {
    identity.version.as_deref().is_some_and(|version| version.starts_with('"') || version.ends_with("GMT"))
}

fn retryable(reply: &Reply) -> DownloadError {
    let after = reply.header("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    DownloadError::Retryable(format!("it responded with {}", reply.status_text()), after)
}
