//! Writes rows to a table in the text format of COPY.

use sqlx::PgConnection;
use sqlx::postgres::PgDatabaseError;
use tokio_util::sync::CancellationToken;

use super::super::{Batch, Column, Error};
use super::encode::encode;
use super::in_time;
use super::schema::{ROW, names};

/// Bytes per message. The cancel flag is checked after each one.
const CHUNK: usize = 64 << 10;

/// Messages after which the task yields. A server that takes all of them at once would otherwise block the other tasks
/// of the thread for the whole batch.
const TURN: usize = 4;

/// A row that does not fit a page. The line that PostgreSQL names can then be a later one.
const TOO_LARGE: &str = "54000";

/// Texts that are not of their column's type, numbers out of its range, and characters that the database's encoding
/// lacks.
const DATA: &str = "22";

/// Lines that COPY cannot parse. Not caused by a cell.
const FORMAT: &str = "22P04";

/// A COPY into one table.
pub(super) struct CopyIn {
    statement: String,
    columns: Vec<Column>,
}

impl CopyIn {
    /// Returns a COPY into `table` (quoted), which has the row number and the columns.
    pub(super) fn new(table: &str, columns: &[Column]) -> Self {
        let statement = format!("COPY {table} ({ROW}, {}) FROM STDIN", names(columns).join(", "));
        Self { statement, columns: columns.to_vec() }
    }

    /// Refuses a batch of another width, and a NUL: PostgreSQL cannot store one in a text. Good rows cost one scan of
    /// the whole text.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), Error> {
        let width = self.columns.len();
        if batch.width() != width {
            return Err(Error::Failed(format!("the batch has {} columns, expected {width}", batch.width())));
        }
        if !batch.text().as_bytes().contains(&0) {
            return Ok(());
        }
        let cells = batch.rows().enumerate().flat_map(|(row, cells)| cells.enumerate().map(move |cell| (row, cell)));
        let mut bad = cells.filter(|(_, (_, cell))| cell.is_some_and(|text| text.as_bytes().contains(&0)));
        bad.next().map_or(Ok(()), |(row, (column, _))| {
            let column = self.columns[column].name.clone();
            Err(Error::Cell { row, column, reason: "PostgreSQL cannot store a NUL byte in a text".into() })
        })
    }

    /// Adds the rows, numbered from `before` + 1. Returns [`Error::Cancelled`] if the write is cancelled meanwhile.
    /// After it, and after [`Error::Cell`], the connection is ready for the next statement.
    pub(super) async fn send(
        &self,
        to: &mut PgConnection,
        (before, batch): (i64, &Batch),
        cancelled: &CancellationToken,
    ) -> Result<(), Error> {
        let mut copy = in_time(to.copy_in_raw(&self.statement)).await?;
        let (mut encoder, mut buffer, mut sent) = (encode(before, batch), Vec::new(), 0);
        while encoder.fill(&mut buffer, CHUNK) {
            in_time(copy.send(buffer.as_slice())).await?;
            sent += 1;
            if sent % TURN == 0 {
                tokio::task::yield_now().await;
            }
            if cancelled.is_cancelled() {
                in_time(copy.abort("cancelled")).await?;
                return Err(Error::Cancelled);
            }
        }
        let copied = in_time(async { copy.finish().await.map_err(|error| self.refused(error, batch)) }).await?;
        match copied == batch.len() as u64 {
            true => Ok(()),
            false => Err(Error::Failed(format!("COPY added {copied} of {} rows", batch.len()))),
        }
    }

    /// Returns the row that PostgreSQL refused, if it is known. PostgreSQL names the line itself, so good rows cost
    /// nothing.
    fn refused(&self, error: sqlx::Error, batch: &Batch) -> Error {
        let refusal = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
        let Some(refusal) = refusal else {
            return error.into();
        };
        let context = refusal.r#where().unwrap_or_default();
        let row = match refusal.code() {
            TOO_LARGE => (0..).zip(batch.rows()).max_by_key(|(_, cells)| least_size(cells.clone())).map(|(row, _)| row),
            code if code.starts_with(DATA) && code != FORMAT => line(context).and_then(|line| line.checked_sub(1)),
            _ => None,
        };
        let reason = refusal.message().to_owned();
        match row {
            Some(row) => Error::Cell { row, column: self.column(context), reason },
            None => error.into(),
        }
    }

    /// Returns the column in a context such as `COPY table, line 7, column x: "y"`, by its name in the file.
    fn column(&self, context: &str) -> String {
        let named = context.split_once(", column ").map_or("", |(_, rest)| rest);
        let quoted = names(&self.columns);
        let plain = quoted.iter().map(|name| name[1..name.len() - 1].replace("\"\"", "\""));
        let matching = plain.zip(&self.columns).filter(|(name, _)| {
            named.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        matching.max_by_key(|(name, _)| name.len()).map(|(_, column)| column.name.clone()).unwrap_or_default()
    }
}

/// Minimum number of bytes of the cells in a page. A cell of 24 bytes or more can be moved out of the page; a pointer
/// of 18 bytes remains.
fn least_size<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> usize {
    cells.flatten().map(|text| if text.len() >= 24 { 18 } else { text.len() + 1 }).sum()
}

/// Returns the line in a text such as `COPY table, line 7`.
fn line(context: &str) -> Option<usize> {
    let (_, rest) = context.split_once(", line ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_in_the_context() {
        assert_eq!(line("COPY 0190-ab, line 12, column x: \"y\""), Some(12));
        assert_eq!(line("COPY t, line 3"), Some(3));
        assert_eq!(line("elsewhere"), None);
    }

    #[test]
    fn the_column_is_found_in_the_context() {
        let columns = ["a", "a: b", "c\"d", "pausa_row"].map(Column::text);
        let copy = CopyIn::new("t", &columns);
        for (named, expected) in
            [("a", "a"), ("a: b", "a: b"), ("c\"d", "c\"d"), ("pausa_row_2", "pausa_row"), ("e", "")]
        {
            assert_eq!(copy.column(&format!("COPY t, line 3, column {named}: \"y\"")), expected);
        }
        assert_eq!(copy.column("COPY t, line 3"), "");
    }
}
