//! What an import is to do, and how far it came.

use serde::{Deserialize, Serialize};

use crate::datasets::{Column, DatasetName, PublishMode};

/// What an import is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Where the file lies.
    pub source: Source,
    /// The dataset to fill.
    pub dataset: DatasetName,
    /// What becomes of rows that are there already.
    pub mode: PublishMode,
    /// How the file is written.
    pub csv: Format,
    /// The names and types that the user gave.
    pub columns: Vec<Column>,
    /// Columns whose types nobody gave get those that a sample shows.
    pub infer_types: bool,
    /// What becomes of records that are no rows.
    pub bad_rows: BadRows,
    /// At most so many rows a second.
    pub max_rows_per_second: Option<f64>,
}

/// What becomes of records that are no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadRows {
    /// The first one fails the import.
    Fail,
    /// They go to the rejects; past so many the import fails.
    Skip(Option<u64>),
}

/// Where the file lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An upload, by its id.
    Upload(String),
    /// A file below the server's import folder.
    Path(String),
    /// A URL of http or https, with its password if it has one: never to be shown.
    Url(String),
}

/// How the file is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// Between two cells; one ASCII character.
    pub delimiter: u8,
    /// The client set the delimiter, so the file is not checked for another one. True in specs stored without it.
    #[serde(default = "given")]
    pub delimiter_given: bool,
    /// Around a cell; one ASCII character.
    pub quote: u8,
    /// The first record names the columns.
    pub header: bool,
    /// An unquoted or quoted cell of exactly this text is null.
    pub null_value: Option<String>,
    /// Its encoding, as the WHATWG's standard names it; UTF-8 or what a byte-order mark tells, where none is given.
    pub encoding: Option<String>,
}

impl Default for Format {
    fn default() -> Format {
        let (delimiter, quote, delimiter_given) = (b',', b'"', false);
        Format { delimiter, delimiter_given, quote, header: true, null_value: None, encoding: None }
    }
}

fn given() -> bool {
    true
}

/// How far an import came: what is committed together with the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The file that it reads.
    pub file: Identity,
    /// The byte at which the next record begins.
    pub offset: u64,
    /// The line, from 1, that this byte lies in.
    pub line: u64,
    /// Rows written.
    pub rows: u64,
    /// Records that went to the rejects.
    pub rejected: u64,
    /// Bytes that the whole text has or is thought to have, where that is known.
    pub expected: Option<u64>,
    /// The error of an import that has more bad rows than it may: nothing is read after them.
    #[serde(default)]
    pub exceeded: Option<String>,
    /// The file of rejects that such an import leaves when it FAILED.
    #[serde(default)]
    pub rejects: Option<Rejects>,
}

/// A file of rejects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejects {
    /// Bytes.
    pub size: u64,
    /// SHA-256 in lowercase hex.
    pub sha256: String,
}

/// What tells a file from another one that took its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Bytes; 0 where a server did not tell.
    pub size: u64,
    /// The last change, in microseconds since 1970; 0 for what was fetched.
    pub modified: i64,
    /// What tells the fetched version of a URL from others.
    pub version: Option<String>,
}

impl Cursor {
    /// The beginning of a file.
    pub fn start(file: Identity) -> Cursor {
        Cursor { file, offset: 0, line: 1, rows: 0, rejected: 0, expected: None, exceeded: None, rejects: None }
    }

    /// The same without what an earlier run that FAILED left.
    pub fn afresh(self) -> Cursor {
        Cursor { rejected: 0, exceeded: None, rejects: None, ..self }
    }

    /// The same where `refused` of the rows went to the rejects.
    pub fn less(mut self, refused: u64) -> Cursor {
        self.rows = self.rows.saturating_sub(refused);
        self.rejected += refused;
        self
    }

    /// The rows that the whole file will give: estimated by the share of bytes that is read, exact at the end.
    pub fn total(&self) -> Option<u64> {
        let expected = self.expected.filter(|_| self.rows > 0 && self.offset > 0)?;
        let whole = u128::from(self.rows) * u128::from(expected) / u128::from(self.offset);
        Some(u64::try_from(whole).unwrap_or(u64::MAX).max(self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_that_was_stored_without_the_flag_counts_as_set() {
        let stored = r#"{ "delimiter": 44, "quote": 34, "header": true, "null_value": null, "encoding": null }"#;
        let format: Format = serde_json::from_str(stored).unwrap();
        assert_eq!(format, Format { delimiter_given: true, ..Format::default() });
    }
}
