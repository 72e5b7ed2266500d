//! Datasets, their columns, the plan of an import and the snapshot of an export.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DatasetName, Error};
use crate::task::TaskId;

/// Type of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ColumnType {
    /// Any text.
    #[default]
    Text,
    /// An integer.
    Integer,
    /// A number with a fraction.
    Real,
    /// True or false.
    Boolean,
    /// A calendar day.
    Date,
    /// A point in time.
    Timestamp,
}

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name as in the CSV header; any text.
    pub name: String,
    /// Type of its cells.
    pub kind: ColumnType,
}

impl Column {
    /// Returns a column of text.
    pub fn text(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ColumnType::Text }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, format!("{:?}", self.kind).to_uppercase())
    }
}

/// A table that imports filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Name of the dataset.
    pub name: DatasetName,
    /// Columns in order, at least one.
    pub columns: Vec<Column>,
    /// Number of rows. They are numbered from 1.
    pub rows: u64,
    /// Time of the first publish, or of the last REPLACE.
    pub created_at: Timestamp,
    /// Time of the last publish.
    pub updated_at: Timestamp,
}

/// Way in which an import publishes its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PublishMode {
    /// Creates the dataset. Refused if the name is in use.
    Create,
    /// Replaces the dataset, or creates it.
    Replace,
    /// Adds rows to the end of the dataset. Its columns must be the same.
    Append,
}

/// Target of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPlan {
    /// Dataset to publish to.
    pub dataset: DatasetName,
    /// Way in which the rows are published.
    pub mode: PublishMode,
    /// Columns of the rows, at least one.
    pub columns: Vec<Column>,
}

/// Committed in one transaction with rows.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// Position from which the import resumes. The import defines its format.
    pub cursor: String,
    /// Rejected rows as CSV lines. Empty if there are none.
    pub rejects: Vec<u8>,
    /// Checked right before the commit.
    pub lease: CommitLease,
}

/// Says if a run still has its lease. An epoch fences a write only after a newer run has opened the staging, and no run opens it while the
/// task is paused. Default: always.
#[derive(Clone, Default)]
pub struct CommitLease(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl CommitLease {
    /// A lease that is held while `is_held` says so.
    pub fn new(is_held: impl Fn() -> bool + Send + Sync + 'static) -> CommitLease {
        CommitLease(Some(Arc::new(is_held)))
    }

    /// Returns an error unless the lease is held. The commit may be made again once it is.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.0 {
            Some(is_held) if !is_held() => Err(Error::Unavailable(NO_LEASE.to_owned())),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for CommitLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CommitLease").finish_non_exhaustive()
    }
}

const NO_LEASE: &str = "this node could not renew its lease in time. The task continues when it has";

impl From<&str> for Checkpoint {
    fn from(cursor: &str) -> Checkpoint {
        Checkpoint::from(cursor.to_owned())
    }
}

impl From<String> for Checkpoint {
    fn from(cursor: String) -> Checkpoint {
        Checkpoint { cursor, ..Checkpoint::default() }
    }
}

/// A dataset as of the time of its pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Columns in order.
    pub columns: Vec<Column>,
    /// Number of rows. Rows that were added later are not read.
    pub rows: u64,
    pub(super) parts: Vec<SnapshotPart>,
}

/// Owner of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinHolder {
    /// A task. The pin lasts until it is released, also after a crash.
    Task(TaskId),
    /// A stream to a client, with its own ID. The pin ends with the process.
    Stream(TaskId),
}

impl From<TaskId> for PinHolder {
    fn from(task: TaskId) -> PinHolder {
        PinHolder::Task(task)
    }
}

impl fmt::Display for PinHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PinHolder::Task(id) => write!(f, "{id}"),
            PinHolder::Stream(id) => write!(f, "{STREAM}{id}"),
        }
    }
}

/// Prefix of pin holders that are streams.
pub(super) const STREAM: &str = "stream-";

/// Consecutive rows of a snapshot in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotPart {
    /// Name of the segment (SQLite) or of the relation (PostgreSQL).
    pub(super) container: String,
    /// Table in the segment. Empty in PostgreSQL.
    pub(super) table: String,
    /// Number of its first row in the dataset, from 1.
    pub(super) first: u64,
    /// Number of rows.
    pub(super) rows: u64,
}

/// Returns the time of the last publish: that of the last APPEND, in microseconds, if there was one.
pub(super) fn update_time(created_at: Timestamp, appended_at: Option<i64>) -> Result<Timestamp, Error> {
    let appended_at = appended_at.map(Timestamp::from_microsecond).transpose();
    let appended_at = appended_at.map_err(|error| Error::Failed(format!("the catalog: {error}")))?;
    Ok(appended_at.unwrap_or(created_at))
}

/// Parses the ID of a task in a catalog.
pub(super) fn parse_task(text: &str) -> Result<TaskId, Error> {
    text.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))
}

/// Encodes columns or a plan for a catalog.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Failed(format!("cannot write JSON: {error}")))
}

/// Decodes columns or a plan from a catalog.
pub(super) fn from_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Failed(format!("the catalog has {text:?}: {error}")))
}
