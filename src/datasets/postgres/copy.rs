//! Rows on their way into a table, in the text format of COPY.

use sqlx::PgConnection;
use sqlx::postgres::PgDatabaseError;

use super::super::{Batch, Column, Error};
use super::schema::{ROW, names};

/// Bytes sent at a time.
const CHUNK: usize = 256 << 10;

/// A row that is too large for a page. The line that PostgreSQL names is then a later one.
const TOO_LARGE: &str = "54000";

/// Characters that the database's encoding lacks.
const ENCODING: [&str; 2] = ["22P05", "22021"];

/// A COPY into one table, with a buffer that is used again.
pub(super) struct Copy {
    statement: String,
    columns: Vec<Column>,
    buffer: Vec<u8>,
}

impl Copy {
    /// Into `table` (quoted), which has the row's number and the columns.
    pub(super) fn new(table: &str, columns: &[Column]) -> Self {
        let statement = format!("COPY {table} ({ROW}, {}) FROM STDIN", names(columns).join(", "));
        Self { statement, columns: columns.to_vec(), buffer: Vec::new() }
    }

    /// Refuses a batch of another width, and a NUL: no text of PostgreSQL holds one.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), Error> {
        let width = self.columns.len();
        if batch.width() != width {
            return Err(Error::Failed(format!("a batch of {} columns where {width} belong", batch.width())));
        }
        let cells = batch.rows().enumerate().flat_map(|(row, cells)| cells.enumerate().map(move |cell| (row, cell)));
        for (row, (column, cell)) in cells {
            if cell.is_some_and(|text| text.as_bytes().contains(&0)) {
                let column = self.columns[column].name.clone();
                return Err(Error::Cell { row, column, reason: "PostgreSQL holds no NUL byte in a text".into() });
            }
        }
        Ok(())
    }

    /// Adds the rows, numbered from `before` + 1.
    pub(super) async fn send(&mut self, to: &mut PgConnection, before: i64, batch: &Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut copy = to.copy_in_raw(&self.statement).await?;
        self.buffer.clear();
        for (number, row) in (before + 1..).zip(batch.rows()) {
            encode(&mut self.buffer, number, row);
            if self.buffer.len() >= CHUNK {
                copy.send(self.buffer.as_slice()).await?;
                self.buffer.clear();
            }
        }
        copy.send(self.buffer.as_slice()).await?;
        copy.finish().await.map_err(|error| refused(error, batch))?;
        Ok(())
    }
}

/// The row that PostgreSQL refused, where it can be told.
fn refused(error: sqlx::Error, batch: &Batch) -> Error {
    let refusal = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    let Some(refusal) = refusal else {
        return error.into();
    };
    let row = match refusal.code() {
        TOO_LARGE => (0..).zip(batch.rows()).max_by_key(|(_, cells)| least_size(cells.clone())).map(|(row, _)| row),
        code if ENCODING.contains(&code) => refusal.r#where().and_then(line).map(|line| line.saturating_sub(1)),
        _ => None,
    };
    let reason = refusal.message().to_owned();
    match row {
        Some(row) => Error::Cell { row, column: String::new(), reason },
        None => error.into(),
    }
}

/// Bytes that the cells need in a page at least: what has more than 24 can be moved out for a pointer of 18.
fn least_size<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> usize {
    cells.flatten().map(|text| if text.len() >= 24 { 18 } else { text.len() + 1 }).sum()
}

/// The line in a text such as `COPY table, line 7`.
fn line(context: &str) -> Option<usize> {
    let (_, rest) = context.split_once(", line ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn encode<'a>(buffer: &mut Vec<u8>, number: i64, cells: impl Iterator<Item = Option<&'a str>>) {
    buffer.extend_from_slice(number.to_string().as_bytes());
    for cell in cells {
        buffer.push(b'\t');
        match cell {
            Some(text) => escape(buffer, text.as_bytes()),
            None => buffer.extend_from_slice(b"\\N"),
        }
    }
    buffer.push(b'\n');
}

fn escape(buffer: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t')) {
        buffer.extend_from_slice(&rest[..at]);
        buffer.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    buffer.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_is_escaped() {
        let mut buffer = Vec::new();
        encode(&mut buffer, 7, [Some("a\\N\tb\r\n"), None, Some("")].into_iter());
        assert_eq!(String::from_utf8(buffer).unwrap(), "7\ta\\\\N\\tb\\r\\n\t\\N\t\n");
    }

    #[test]
    fn the_line_is_found_in_the_context() {
        assert_eq!(line("COPY 0190-ab, line 12, column x: \"y\""), Some(12));
        assert_eq!(line("COPY t, line 3"), Some(3));
        assert_eq!(line("elsewhere"), None);
    }
}
