//! Spec and cursor of an export, as stored with the task.

use serde::{Deserialize, Serialize};

use crate::datasets::{Column, ColumnFilter, DatasetName, InvalidSelection, Selection};
use crate::files::{Fingerprint, WrittenResult};
use crate::task::ResultFile;

/// Spec of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportSpec {
    /// Dataset to export.
    pub dataset: DatasetName,
    /// Names of the columns, in order. None: all.
    pub columns: Option<Vec<String>>,
    /// Filters. A row must match all.
    pub filters: Vec<ColumnFilter>,
    /// Compression of the file.
    pub compression: FileCompression,
    /// Guard cells that a spreadsheet would run as a formula.
    pub guard_formulas: bool,
    /// Rate limit in rows per second. None: unlimited.
    pub max_rows_per_second: Option<f64>,
}

/// Compression of an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileCompression {
    /// Uncompressed.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// zip archive with one file.
    Zip,
}

impl ExportSpec {
    /// Returns the selection from a dataset with these columns.
    ///
    /// # Errors
    /// A column or a filter that does not exist or fit.
    pub fn selection(&self, columns: &[Column]) -> Result<Selection, InvalidSelection> {
        Selection::of(columns, self.columns.as_deref(), &self.filters)
    }

    /// Returns the name of the file for clients.
    pub fn file_name(&self) -> String {
        match self.compression {
            FileCompression::None => self.entry_name(),
            FileCompression::Gzip => format!("{}.gz", self.entry_name()),
            FileCompression::Zip => format!("{}.zip", self.dataset),
        }
    }

    /// Returns the name of the uncompressed file.
    pub fn entry_name(&self) -> String {
        format!("{}.csv", self.dataset)
    }

    /// Returns the finished file as clients see it.
    pub fn result_file(&self, finished: Fingerprint) -> ResultFile {
        let (name, content_type) = (self.file_name(), self.content_type().to_owned());
        ResultFile { name, size: finished.size, content_type, sha256: finished.sha256 }
    }

    /// Returns the media type of the file.
    pub fn content_type(&self) -> &'static str {
        match self.compression {
            FileCompression::None => "text/csv; charset=utf-8",
            FileCompression::Gzip => "application/gzip",
            FileCompression::Zip => "application/zip",
        }
    }
}

/// Cursor of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportCursor {
    /// Number of the last row that was checked for a match, to count them.
    pub counted: u64,
    /// Number of matching rows among them.
    pub matching: u64,
    /// Number of the last row that was read, to write those that match.
    pub read: u64,
    /// Number of rows in the file.
    pub rows: u64,
    /// Synced content of the file. What comes after it is written again.
    pub file: WrittenFile,
    /// The file, once it is complete and staged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Fingerprint>,
}

/// Content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Size in bytes.
    pub bytes: u64,
    /// State of the SHA-256, in hex. Empty before the first byte.
    pub hash: String,
    /// Size of the uncompressed CSV, in bytes.
    pub plain: u64,
    /// CRC-32 of the uncompressed CSV.
    pub crc: u32,
    /// The unfinished object in a bucket, as far as it is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<WrittenResult>,
}
