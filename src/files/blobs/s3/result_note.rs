//! Results in a bucket: an object `results/TASK/data-RANDOM`, and a note `results/TASK/SHA256` that names it.
//!
//! The note is written once, when the data are complete, and never replaced. So a run that lost its lease cannot exchange the data
//! of a result, and a reader that knows the hash finds them.

use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::client::{BucketClient, ConditionalWrite};
use crate::files::Fingerprint;
use crate::task::TaskId;

/// Place of the data of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResultNote {
    /// Name of the object in the folder of the task.
    pub name: String,
    /// Size, in bytes.
    pub size: u64,
    /// ETag of the object.
    pub tag: String,
}

/// Returns the folder of a task's results.
pub(super) fn folder(task: TaskId) -> String {
    format!("results/{task}")
}

/// Returns the key of an object in the folder of a task.
pub(super) fn key(task: TaskId, name: &str) -> String {
    format!("results/{task}/{name}")
}

/// Returns the key of a part of what a run computed.
pub(super) fn part_key(task: TaskId, name: &str) -> String {
    format!("results/{task}/part-{name}")
}

/// Reads the note of a result.
pub(super) async fn read_note(client: &BucketClient, task: TaskId, sha256: &str) -> io::Result<ResultNote> {
    let (bytes, _) = client.read(&key(task, sha256)).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(io::ErrorKind::NotFound, "the finished file is missing"),
        _ => error,
    })?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Writes the note of complete data. If there is one already, of the same content, that one stays and these data are deleted.
pub(super) async fn write(client: &BucketClient, task: TaskId, name: &str, result: &Fingerprint) -> io::Result<()> {
    let data = client.head(&key(task, name)).await?;
    if data.size != result.size {
        return Err(io::Error::other(format!("S3 has {} of {} bytes of a result", data.size, result.size)));
    }
    let note = ResultNote { name: name.to_owned(), size: data.size, tag: data.e_tag.unwrap_or_default() };
    let content = Bytes::from(serde_json::to_vec(&note)?);
    if let Ok(ConditionalWrite::Written(_)) = client.write_if(&key(task, &result.sha256), content, None).await {
        return Ok(());
    }
    // An answer may have been lost: the object decides.
    let there = read_note(client, task, &result.sha256).await?;
    if there == note {
        return Ok(());
    }
    client.head(&key(task, &there.name)).await?;
    client.delete(vec![key(task, name)]).await
}
