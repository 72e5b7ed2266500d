//! Rows of an import: turns a record into a row, or says why it is not one.

use std::borrow::Cow;

use csv::ByteRecord;

use crate::datasets::{Batch, Column, ColumnType, InvalidValue, WrongWidth};
use crate::task::InputPlace;

/// Columns of the rows, and the text that means null.
#[derive(Clone, Debug)]
pub struct RowSchema {
    columns: Vec<Column>,
    /// Leading fields of each record that are ignored.
    ignored: usize,
    null: Option<String>,
    typed: bool,
    encoding: &'static str,
}

/// Reason for which a record is not a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowError {
    /// Its number of fields.
    FieldCount {
        /// Number of fields in the record.
        found: usize,
        /// Number of fields in the header.
        expected: usize,
    },
    /// A value that its column cannot store.
    Value {
        /// Name of the column. None if the database refused the row as a whole.
        column: Option<String>,
        /// Description of the error.
        reason: String,
    },
}

impl RowError {
    /// Returns the error text, with the line in the file.
    pub fn at(&self, line: u64) -> String {
        match self {
            RowError::FieldCount { found, expected } => {
                format!("Line {line} has {}, but the header has {expected}.", fields(*found))
            }
            RowError::Value { column: Some(column), .. } => {
                format!("Line {line}, column {column:?}: {}.", self.reason())
            }
            RowError::Value { column: None, .. } => format!("Line {line}: {}.", self.reason()),
        }
    }

    /// Returns the place of the error in the file, whose rows have these columns.
    pub fn place(&self, line: u64, columns: &[Column]) -> InputPlace {
        let name = self.column();
        let number = columns.iter().position(|column| Some(&*column.name) == name).map(|index| index as u64 + 1);
        InputPlace { line: Some(line), column: number, column_name: name.map(str::to_owned) }
    }

    /// Returns the name of the column that is wrong. None if the whole record is.
    pub fn column(&self) -> Option<&str> {
        match self {
            RowError::FieldCount { .. } => None,
            RowError::Value { column, .. } => column.as_deref(),
        }
    }

    /// Returns what is wrong, without line and column.
    pub fn reason(&self) -> Cow<'_, str> {
        match self {
            RowError::FieldCount { found, expected } => format!("{} instead of {expected}", fields(*found)).into(),
            RowError::Value { reason, .. } => reason.trim_end_matches('.').into(),
        }
    }
}

fn fields(count: usize) -> String {
    if count == 1 { "1 field".to_owned() } else { format!("{count} fields") }
}

impl From<WrongWidth> for RowError {
    fn from(error: WrongWidth) -> RowError {
        RowError::FieldCount { found: error.found, expected: error.expected }
    }
}

impl RowSchema {
    /// Rows of these columns. The first `ignored` fields of each record are not part of the row.
    pub fn new(columns: Vec<Column>, ignored: usize, null: Option<String>) -> RowSchema {
        let typed = columns.iter().any(|column| column.kind != ColumnType::Text);
        RowSchema { columns, ignored, null, typed, encoding: "UTF-8" }
    }

    /// Returns the columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the number of leading fields that are ignored.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// The same with other column types.
    pub fn with_columns(self, columns: Vec<Column>) -> RowSchema {
        RowSchema { encoding: self.encoding, ..RowSchema::new(columns, self.ignored, self.null) }
    }

    /// The same for a file in this encoding.
    pub fn with_encoding(self, encoding: &'static str) -> RowSchema {
        RowSchema { encoding, ..self }
    }

    /// Adds the record's row to the batch. Does not change the batch if the record is not a row.
    pub fn push(&self, record: &ByteRecord, batch: &mut Batch) -> Result<(), RowError> {
        let (found, expected) = (record.len(), self.ignored + self.columns.len());
        if found != expected {
            return Err(RowError::FieldCount { found, expected });
        }
        let Ok(row) = std::str::from_utf8(record.as_slice()) else { return Err(self.undecodable(record)) };
        let cells = (self.ignored..found).map(|n| record.range(n).and_then(|range| row.get(range)));
        if cells.clone().any(|cell| cell.is_none()) {
            return Err(self.undecodable(record));
        }
        let null = self.null.as_deref();
        let cells = cells.map(|cell| cell.filter(|cell| Some(*cell) != null));
        if !self.typed {
            return Ok(batch.push_row(cells)?);
        }
        batch.try_push_row(cells.zip(&self.columns).map(|(cell, column)| canonical_value(cell, column)))
    }

    /// Returns which field of a record is not valid text, and where.
    pub fn undecodable(&self, record: &ByteRecord) -> RowError {
        let first = record.iter().enumerate().find_map(|(n, field)| Some((n, std::str::from_utf8(field).err()?)));
        let (n, byte) = first.map_or((0, 0), |(n, error)| (n, error.valid_up_to()));
        let name = n.checked_sub(self.ignored).and_then(|n| self.columns.get(n)).map(|column| column.name.clone());
        let column = Some(name.unwrap_or_else(|| (n + 1).to_string()));
        let reason = match self.encoding {
            "UTF-8" => format!("byte {} is not valid UTF-8", byte + 1),
            encoding => {
                let field = record.get(n).unwrap_or_default();
                let before = String::from_utf8_lossy(&field[..byte]).chars().count();
                format!("character {} is not valid {encoding}", before + 1)
            }
        };
        RowError::Value { column, reason }
    }
}

/// Returns the value as its column stores it. An empty field is null, except in a TEXT column.
fn canonical_value<'a>(cell: Option<&'a str>, column: &Column) -> Result<Option<Cow<'a, str>>, RowError> {
    let empty = |text: &&str| column.kind != ColumnType::Text && text.trim_matches([' ', '\t']).is_empty();
    let Some(text) = cell.filter(|text| !empty(text)) else { return Ok(None) };
    let refused =
        |error: InvalidValue| RowError::Value { column: Some(column.name.clone()), reason: error.to_string() };
    column.kind.canonical(text).map(Some).map_err(refused)
}
