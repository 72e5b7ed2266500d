//! What a record must be to become a row, and what is told of one that is not.

use std::borrow::Cow;

use csv::ByteRecord;

use crate::datasets::{Batch, Column, ColumnType, WrongWidth};

/// The columns of the rows, and what stands for null.
#[derive(Clone, Debug)]
pub struct Shape {
    columns: Vec<Column>,
    /// Cells of each record that lie before those of the columns and are passed over.
    ahead: usize,
    null: Option<String>,
    typed: bool,
    encoding: &'static str,
}

/// Why a record is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The column's name; none where the record as a whole is wrong.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
}

impl Bad {
    /// The text for people, after the line in the file.
    pub fn at(&self, line: u64) -> String {
        match &self.column {
            Some(column) => format!("line {line}, column {column:?}: {}", self.reason),
            None => format!("line {line}: {}", self.reason),
        }
    }
}

impl From<WrongWidth> for Bad {
    fn from(error: WrongWidth) -> Bad {
        Bad { column: None, reason: error.to_string() }
    }
}

impl Shape {
    /// Rows of these columns, which begin after the first `ahead` cells of a record.
    pub fn new(columns: Vec<Column>, ahead: usize, null: Option<String>) -> Shape {
        let typed = columns.iter().any(|column| column.kind != ColumnType::Text);
        Shape { columns, ahead, null, typed, encoding: "UTF-8" }
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Cells that are passed over at the beginning of each record.
    pub fn ahead(&self) -> usize {
        self.ahead
    }

    /// The same with other types.
    pub fn with(self, columns: Vec<Column>) -> Shape {
        Shape { encoding: self.encoding, ..Shape::new(columns, self.ahead, self.null) }
    }

    /// The same, from a file that was in this encoding.
    pub fn out_of(self, encoding: &'static str) -> Shape {
        Shape { encoding, ..self }
    }

    /// Adds the record's row to the batch, which stays as it is where the record is bad.
    pub fn push(&self, record: &ByteRecord, batch: &mut Batch) -> Result<(), Bad> {
        let (found, expected) = (record.len(), self.ahead + self.columns.len());
        if found != expected {
            let fields = if found == 1 { "1 field".to_owned() } else { format!("{found} fields") };
            return Err(Bad { column: None, reason: format!("{fields} but the header has {expected}") });
        }
        let Ok(row) = std::str::from_utf8(record.as_slice()) else { return Err(self.undecodable(record)) };
        let cells = (self.ahead..found).map(|n| record.range(n).and_then(|range| row.get(range)));
        if cells.clone().any(|cell| cell.is_none()) {
            return Err(self.undecodable(record));
        }
        let null = self.null.as_deref();
        let cells = cells.map(|cell| cell.filter(|cell| Some(*cell) != null));
        if !self.typed {
            return Ok(batch.push_row(cells)?);
        }
        batch.try_push_row(cells.zip(&self.columns).map(|(cell, column)| value(cell, column)))
    }

    /// Which cell of a record is not UTF-8, and where.
    pub fn undecodable(&self, record: &ByteRecord) -> Bad {
        let bad = record.iter().enumerate().find_map(|(n, cell)| Some((n, std::str::from_utf8(cell).err()?)));
        let (n, byte) = bad.map_or((0, 0), |(n, error)| (n, error.valid_up_to()));
        let name = n.checked_sub(self.ahead).and_then(|n| self.columns.get(n)).map(|column| column.name.clone());
        let column = Some(name.unwrap_or_else(|| (n + 1).to_string()));
        let reason = match self.encoding {
            "UTF-8" => format!("byte {} of the cell is not UTF-8", byte + 1),
            encoding => {
                let cell = record.get(n).unwrap_or_default();
                let before = String::from_utf8_lossy(&cell[..byte]).chars().count();
                format!("character {} of the cell is not {encoding}", before + 1)
            }
        };
        Bad { column, reason }
    }
}

/// A cell as its column keeps it. What is empty is null in a column of another type than TEXT.
fn value<'a>(cell: Option<&'a str>, column: &Column) -> Result<Option<Cow<'a, str>>, Bad> {
    let empty = |text: &&str| column.kind != ColumnType::Text && text.trim_matches([' ', '\t']).is_empty();
    let Some(text) = cell.filter(|text| !empty(text)) else { return Ok(None) };
    let refused =
        |error: crate::datasets::InvalidValue| Bad { column: Some(column.name.clone()), reason: error.to_string() };
    column.kind.canonical(text).map(Some).map_err(refused)
}
