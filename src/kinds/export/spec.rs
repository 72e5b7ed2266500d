//! What an export is to do, and how far it came.

use serde::{Deserialize, Serialize};

use crate::datasets::{Column, ColumnFilter, DatasetName, InvalidSelection, Selection};

/// What an export is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The dataset.
    pub dataset: DatasetName,
    /// The names of its columns that are wanted, in order; none: all.
    pub columns: Option<Vec<String>>,
    /// All must hold.
    pub filters: Vec<ColumnFilter>,
    /// How the file is packed.
    pub compression: Compression,
    /// Cells that a spreadsheet would run as a formula are guarded.
    pub guard_formulas: bool,
    /// At most so many rows a second.
    pub max_rows_per_second: Option<f64>,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// As gzip (RFC 1952).
    Gzip,
    /// As the one file of a zip archive.
    Zip,
}

impl Spec {
    /// What is read of a dataset with these columns.
    ///
    /// # Errors
    /// A column or a filter that does not fit them.
    pub fn selection(&self, columns: &[Column]) -> Result<Selection, InvalidSelection> {
        Selection::of(columns, self.columns.as_deref(), &self.filters)
    }

    /// The name of the file for people.
    pub fn file_name(&self) -> String {
        match self.compression {
            Compression::None => self.entry_name(),
            Compression::Gzip => format!("{}.gz", self.entry_name()),
            Compression::Zip => format!("{}.zip", self.dataset),
        }
    }

    /// The name of the CSV file, unpacked.
    pub fn entry_name(&self) -> String {
        format!("{}.csv", self.dataset)
    }

    /// Its media type.
    pub fn content_type(&self) -> &'static str {
        match self.compression {
            Compression::None => "text/csv; charset=utf-8",
            Compression::Gzip => "application/gzip",
            Compression::Zip => "application/zip",
        }
    }
}

/// How far an export came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the last row that was looked at to count those that match.
    pub counted: u64,
    /// Rows that match, of those.
    pub matching: u64,
    /// The number of the last row that was looked at to write those that match.
    pub read: u64,
    /// Rows in the file.
    pub rows: u64,
    /// What is in the file; what lies behind is written anew.
    pub file: Written,
}

/// What is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its bytes.
    pub bytes: u64,
    /// The state of their SHA-256, in hexadecimal; empty before the first one.
    pub hash: String,
    /// Bytes of CSV that they hold.
    pub plain: u64,
    /// The CRC-32 of these.
    pub crc: u32,
}
