//! The nouns: datasets, their columns, the plan of an import and the snapshot of an export.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DatasetName, Error};
use crate::task::TaskId;

/// What a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ColumnType {
    /// Any text.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Real,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A moment.
    Timestamp,
}

/// A column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Any text, as in the header of the CSV.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
}

impl Column {
    /// A column of text.
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
    /// Its name.
    pub name: DatasetName,
    /// Its columns in order, at least one.
    pub columns: Vec<Column>,
    /// How many rows it holds, numbered from 1.
    pub rows: u64,
    /// When it was first published, or last replaced.
    pub created_at: jiff::Timestamp,
}

/// What an import does where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PublishMode {
    /// Makes the dataset; refused where the name is taken.
    Create,
    /// Takes the place of the dataset, or makes it where there is none.
    Replace,
    /// Adds to the end of the dataset; its columns must be the same.
    Append,
}

/// What an import is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPlan {
    /// The dataset to fill.
    pub dataset: DatasetName,
    /// What becomes of the rows.
    pub mode: PublishMode,
    /// The columns of the rows, at least one.
    pub columns: Vec<Column>,
}

impl ImportPlan {
    /// Refuses what cannot be published beside `existing`, or does not fit `limit` columns.
    pub(super) fn check(&self, existing: Option<&Dataset>, limit: usize) -> Result<(), Error> {
        match (self.mode, existing) {
            (PublishMode::Create, Some(_)) => return Err(Error::Exists(self.dataset.clone())),
            (PublishMode::Append, None) => return Err(Error::Missing(self.dataset.clone())),
            (PublishMode::Append, Some(dataset)) => self.check_columns(dataset)?,
            (PublishMode::Create, None) | (PublishMode::Replace, _) => {}
        }
        match self.columns.len() {
            0 => Err(Error::Failed("a dataset needs at least one column".into())),
            found if found > limit => Err(Error::TooManyColumns { found, limit }),
            _ => Ok(()),
        }
    }

    fn check_columns(&self, dataset: &Dataset) -> Result<(), Error> {
        if dataset.columns == self.columns {
            return Ok(());
        }
        let shown = |columns: &[Column]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let (mut expected, mut found) = (shown(&dataset.columns), shown(&self.columns));
        if expected == found {
            let typed = |columns: &[Column]| columns.iter().map(ToString::to_string).collect();
            (expected, found) = (typed(&dataset.columns), typed(&self.columns));
        }
        Err(Error::Columns { dataset: dataset.name.clone(), expected, found })
    }
}

/// What is committed together with rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where the import goes on.
    pub cursor: String,
    /// A piece of the rejects; empty where there is none.
    pub rejects: Vec<u8>,
}

impl From<&str> for Checkpoint {
    fn from(cursor: &str) -> Checkpoint {
        Checkpoint { cursor: cursor.to_owned(), rejects: Vec::new() }
    }
}

impl From<String> for Checkpoint {
    fn from(cursor: String) -> Checkpoint {
        Checkpoint { cursor, rejects: Vec::new() }
    }
}

/// A dataset as it stood when it was pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// How many rows it had; rows that came later are not read.
    pub rows: u64,
    pub(super) parts: Vec<SnapshotPart>,
}

/// Who holds a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinHolder {
    /// A task: until it lets go, over crashes too.
    Task(TaskId),
    /// A stream to a client, by an id of its own: no longer than its process lives.
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

/// How the holders begin that are streams.
pub(super) const STREAM: &str = "stream-";

/// A run of rows that lie in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotPart {
    /// The segment's name (SQLite) or the relation's (PostgreSQL).
    pub(super) place: String,
    /// The table in it.
    pub(super) table: String,
    /// The number of its first row in the dataset, from 1.
    pub(super) first: u64,
    /// How many rows it holds.
    pub(super) rows: u64,
}

/// Writes columns or a plan for a catalog.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Failed(format!("cannot write JSON: {error}")))
}

/// Reads columns or a plan from a catalog.
pub(super) fn from_json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Failed(format!("the catalog holds {text:?}: {error}")))
}
