//! The columns of an import: named by the header, by the user or by the dataset, typed by the user, the dataset or a
//! sample.

use super::header;
use super::infer::Guess;
use super::inspect::rows::{self, Row};
use super::spec::Format;
use crate::datasets::Column;
use crate::runner::Failure;

/// What is known of the columns before the file is read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Those that the user gave.
    pub asked: &'a [Column],
    /// Those of the dataset that rows are appended to.
    pub present: Option<&'a [Column]>,
}

impl Wanted<'_> {
    /// The first record is as the client or the dataset says: with its names, or without a header with their number.
    pub fn expects(&self, first: Option<&Row<'_>>, format: &Format) -> bool {
        let Some(first) = first else { return false };
        let present = self.present.unwrap_or_default();
        if !format.header {
            let given = if self.asked.is_empty() { present } else { self.asked };
            return given.len() == first.fields.len();
        }
        let names = |field: &[u8], columns: &[Column]| columns.iter().any(|column| column.name.as_bytes() == field);
        let mut fields = first.fields.iter().map(|field| rows::unquoted(field, format.quote));
        fields.all(|field| names(field, self.asked) || names(field, present))
    }

    /// The columns of a file with a header: its names, the types of those that are asked for, else those of the
    /// dataset, else what the sample says, else TEXT.
    ///
    /// # Errors
    /// A column that is asked for and not there.
    pub fn named(&self, names: &[Column], sample: &[Guess]) -> Result<Vec<Column>, Failure> {
        for column in self.asked {
            if !names.iter().any(|name| name.name == column.name) {
                let there: Vec<_> = names.iter().map(|name| name.name.as_str()).collect();
                let text = format!("columns names {:?}, which the file lacks: it has {there:?}", column.name);
                return Err(Failure::input(text));
            }
        }
        let known = |name: &str, columns: &[Column]| columns.iter().find(|column| column.name == name).cloned();
        let typed = |(n, column): (usize, &Column)| {
            let present = || known(&column.name, self.present.unwrap_or_default());
            let guessed = || sample.get(n).map(|guess| Column { kind: guess.kind(), ..column.clone() });
            known(&column.name, self.asked).or_else(present).or_else(guessed).unwrap_or_else(|| column.clone())
        };
        Ok(names.iter().enumerate().map(typed).collect())
    }

    /// The columns of a file without a header, which has `count`: those that are asked for, else those of the dataset,
    /// else `column_1` and so on with the types of the sample.
    ///
    /// # Errors
    /// Another number of columns than is asked for.
    pub fn numbered(&self, count: usize, sample: &[Guess]) -> Result<Vec<Column>, Failure> {
        if !self.asked.is_empty() && self.asked.len() != count {
            let text = format!("line 1: {count} cells where columns names {}", self.asked.len());
            return Err(Failure::input(text));
        }
        let given = if self.asked.is_empty() { self.present.unwrap_or_default() } else { self.asked };
        match given.len() == count {
            true => Ok(given.to_vec()),
            false => self.named(&header::numbered(count), sample),
        }
    }
}
