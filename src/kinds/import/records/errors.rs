//! Errors of records, with their lines and hints.

use std::io;

use super::super::position::FilePosition;
use super::super::{inspect, source};
use super::RecordReader;
use crate::runner::Failure;
use crate::task::InputPlace;

impl RecordReader {
    /// Returns the error of a record whose quote is still open at the end of the file.
    pub(super) fn unclosed(&self, start: FilePosition) -> Result<Failure, Failure> {
        let line = self.lines().at(start)?;
        let text =
            format!("Line {line}: a quoted field is not closed before the end of the file. The file may be truncated.");
        Ok(self.with_hint(text).at_place(InputPlace { line: Some(line), ..InputPlace::default() }))
    }

    /// Returns the error of the current record, with a hint on what the file looks like.
    pub(super) fn with_hint(&self, text: String) -> Failure {
        match inspect::hint(&self.input, &self.format, &self.record) {
            Some(hint) => Failure::input(format!("{text} {hint}")),
            None => Failure::input(text),
        }
    }

    /// Returns the error of a failed read.
    pub(super) fn unreadable(&self, error: &csv::Error) -> Failure {
        match error.kind() {
            csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                let line = self.lines().at(FilePosition::from(&self.cursor)).unwrap_or(self.cursor.line);
                Failure::input(format!("Line {line}: {error}."))
            }
            csv::ErrorKind::Io(error) => source::read_failure(error),
            _ => Failure::internal(error.to_string()),
        }
    }
}
