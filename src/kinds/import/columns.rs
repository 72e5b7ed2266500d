//! Columns of an import. Their names come from the header, the user or the dataset; their types from the user, the dataset or a
//! sample.

use super::header;
use super::infer::TypeInference;
use super::inspect::rows::{self, SampleRow};
use super::spec::CsvFormat;
use crate::datasets::Column;
use crate::runner::Failure;

/// Columns that are known before the file is read.
#[derive(Clone, Copy, Debug)]
pub struct KnownColumns<'a> {
    /// Columns that the user gave.
    pub requested: &'a [Column],
    /// Columns of the dataset that rows are appended to.
    pub existing: Option<&'a [Column]>,
}

impl KnownColumns<'_> {
    /// Returns true if the first record fits the known columns: their names, or without a header their number.
    pub fn expects(&self, first: Option<&SampleRow<'_>>, format: &CsvFormat) -> bool {
        let Some(first) = first else { return false };
        let existing = self.existing.unwrap_or_default();
        if !format.header {
            let given = if self.requested.is_empty() { existing } else { self.requested };
            return given.len() == first.fields.len();
        }
        let names = |field: &[u8], columns: &[Column]| columns.iter().any(|column| column.name.as_bytes() == field);
        let mut fields = first.fields.iter().map(|field| rows::unquoted(field, format.quote));
        fields.all(|field| names(field, self.requested) || names(field, existing))
    }

    /// Returns the columns of a file with a header. The type of each comes from the user, else the dataset, else the sample, else
    /// it is TEXT.
    ///
    /// # Errors
    /// A requested column that the file lacks.
    pub fn named(&self, names: &[Column], sample: &[TypeInference]) -> Result<Vec<Column>, Failure> {
        for column in self.requested {
            if !names.iter().any(|name| name.name == column.name) {
                let there: Vec<_> = names.iter().map(|name| name.name.as_str()).collect();
                let text = format!("columns names {:?}, but the file has only {there:?}.", column.name);
                return Err(Failure::input(text));
            }
        }
        let known = |name: &str, columns: &[Column]| columns.iter().find(|column| column.name == name).cloned();
        let typed = |(n, column): (usize, &Column)| {
            let existing = || known(&column.name, self.existing.unwrap_or_default());
            let inferred = || sample.get(n).map(|inference| Column { kind: inference.column_type(), ..column.clone() });
            known(&column.name, self.requested).or_else(existing).or_else(inferred).unwrap_or_else(|| column.clone())
        };
        Ok(names.iter().enumerate().map(typed).collect())
    }

    /// Returns the columns of a file without a header, which has `count` fields: those of the user, else of the dataset, else
    /// `column_1` and so on with the types of the sample.
    ///
    /// # Errors
    /// Another number of columns than the user gave.
    pub fn numbered(&self, count: usize, sample: &[TypeInference]) -> Result<Vec<Column>, Failure> {
        if !self.requested.is_empty() && self.requested.len() != count {
            let text = format!("Line 1 has {count} fields, but columns names {}.", self.requested.len());
            return Err(Failure::input(text));
        }
        let given = if self.requested.is_empty() { self.existing.unwrap_or_default() } else { self.requested };
        match given.len() == count {
            true => Ok(given.to_vec()),
            false => self.named(&header::numbered(count), sample),
        }
    }
}
