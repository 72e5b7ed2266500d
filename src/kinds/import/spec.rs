//! Spec and cursor of an import, as stored with the task.

use serde::{Deserialize, Serialize};

use crate::datasets::{Column, DatasetName, PublishMode};
use crate::task::text;

/// Spec of an import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportSpec {
    /// Source of the file.
    pub source: FileSource,
    /// Target dataset.
    pub dataset: DatasetName,
    /// Treatment of existing rows.
    pub mode: PublishMode,
    /// Format of the file.
    pub csv: CsvFormat,
    /// Names and types that the user gave.
    pub columns: Vec<Column>,
    /// Infer the types of other columns from a sample.
    pub infer_types: bool,
    /// Treatment of records that are not rows.
    pub bad_rows: BadRows,
    /// Rate limit in rows per second. None: unlimited.
    pub max_rows_per_second: Option<f64>,
}

/// Treatment of records that are not rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadRows {
    /// The first one fails the import.
    Fail,
    /// They go to the rejects. The import fails if there are more than this number. None: no limit.
    Skip(Option<u64>),
}

/// Source of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// ID of an upload.
    Upload(String),
    /// Path of a file in the server's import folder.
    Path(String),
    /// URL (http or https). May contain a password: never shown.
    Url(String),
}

impl FileSource {
    /// Returns the name of the file. None for an upload, which has a name of its own.
    pub fn file_name(&self) -> Option<String> {
        let place = match self {
            FileSource::Upload(_) => return None,
            FileSource::Path(path) => path,
            // Only the path: what stands before it may have a password.
            FileSource::Url(url) => url.split(['?', '#']).next()?.split_once("://")?.1.split_once('/')?.1,
        };
        let name = place.rsplit('/').next().unwrap_or_default();
        (!name.is_empty()).then(|| text::storable(name, text::FILE_NAME))
    }
}

/// Format of a CSV file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvFormat {
    /// Field delimiter, one ASCII character.
    pub delimiter: u8,
    /// The client set the delimiter, so the file is not checked for another one. Default in stored specs: true.
    #[serde(default = "default_delimiter_given")]
    pub delimiter_given: bool,
    /// Quote character, one ASCII character.
    pub quote: u8,
    /// The first record names the columns.
    pub header: bool,
    /// A field with exactly this text is null, quoted or not.
    pub null_value: Option<String>,
    /// Encoding, by its WHATWG name. None: that of the byte-order mark, else UTF-8.
    pub encoding: Option<String>,
}

impl Default for CsvFormat {
    fn default() -> CsvFormat {
        let (delimiter, quote, delimiter_given) = (b',', b'"', false);
        CsvFormat { delimiter, delimiter_given, quote, header: true, null_value: None, encoding: None }
    }
}

fn default_delimiter_given() -> bool {
    true
}

/// Cursor of an import, committed together with the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportCursor {
    /// The file that is read.
    pub file: FileIdentity,
    /// Byte at which the next record begins.
    pub offset: u64,
    /// Line of this byte, from 1.
    pub line: u64,
    /// Number of rows written.
    pub rows: u64,
    /// Number of rejected records.
    pub rejected: u64,
    /// Size of the text in bytes, if it is known or can be estimated.
    pub expected: Option<u64>,
    /// Error of an import with too many bad rows. Nothing is read after them.
    #[serde(default)]
    pub exceeded: Option<String>,
    /// Rejects file of an import that has read its file, or has too many bad rows.
    #[serde(default)]
    pub rejects: Option<RejectsFile>,
}

/// A rejects file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectsFile {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, lowercase hex.
    pub sha256: String,
}

/// Identity of a file. It differs if another file takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Size in bytes. 0 if the server did not send it.
    pub size: u64,
    /// Time of the last change, in microseconds since 1970. 0 for downloads.
    pub modified: i64,
    /// Version of a download: its ETag, its date, or a unique ID.
    pub version: Option<String>,
}

impl ImportCursor {
    /// The start of a file.
    pub fn start(file: FileIdentity) -> ImportCursor {
        ImportCursor { file, offset: 0, line: 1, rows: 0, rejected: 0, expected: None, exceeded: None, rejects: None }
    }

    /// Returns the rejects file that an import with too many bad rows keeps when it is FAILED.
    pub fn kept_rejects(self) -> Option<RejectsFile> {
        self.rejects.filter(|_| self.exceeded.is_some())
    }

    /// The same without the rejects of an earlier run that FAILED.
    pub fn without_rejects(self) -> ImportCursor {
        ImportCursor { rejected: 0, exceeded: None, rejects: None, ..self }
    }

    /// The same with `refused` of the rows counted as rejected.
    pub fn with_refused(mut self, refused: u64) -> ImportCursor {
        self.rows = self.rows.saturating_sub(refused);
        self.rejected += refused;
        self
    }

    /// Returns the total number of rows, estimated from the bytes that are read. Exact at the end.
    pub fn total(&self) -> Option<u64> {
        let expected = self.expected.filter(|_| self.rows > 0 && self.offset > 0)?;
        let total = u128::from(self.rows) * u128::from(expected) / u128::from(self.offset);
        Some(u64::try_from(total).unwrap_or(u64::MAX).max(self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_stored_without_the_flag_counts_as_set() {
        let stored = r#"{ "delimiter": 44, "quote": 34, "header": true, "null_value": null, "encoding": null }"#;
        let format: CsvFormat = serde_json::from_str(stored).unwrap();
        assert_eq!(format, CsvFormat { delimiter_given: true, ..CsvFormat::default() });
    }
}
