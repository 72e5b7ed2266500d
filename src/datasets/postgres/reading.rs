//! Rows on their way out of a table, by ranges of their numbers.

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::super::{Batch, Column, ColumnType, Error};
use super::publishing::run;
use super::schema::{ROW, names};

/// Rows of the first window where bytes are limited: it tells how large the rows are.
const FIRST_WINDOW: u64 = 64;

/// A table and its columns, quoted.
pub(super) struct Source {
    table: String,
    columns: String,
    width: usize,
}

impl Source {
    /// The columns of `table`, which is quoted.
    pub(super) fn new(table: String, columns: &[Column]) -> Self {
        let shown: Vec<_> = names(columns).iter().zip(columns).map(|(name, column)| shown(name, column.kind)).collect();
        Self { table, columns: shown.join(", "), width: columns.len() }
    }
}

/// A column as the text of its type, whatever the session's settings are.
fn shown(name: &str, kind: ColumnType) -> String {
    match kind {
        ColumnType::Text => name.to_owned(),
        ColumnType::Integer | ColumnType::Real | ColumnType::Boolean => format!("{name}::text"),
        ColumnType::Date => format!("to_char({name}, 'YYYY-MM-DD')"),
        ColumnType::Timestamp => {
            let text = format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')");
            format!("regexp_replace({text}, '\\.?0+$', '') || 'Z'")
        }
    }
}

/// Rows after number `after` and up to `last`: at most `limit`, fewer where `bytes` are reached.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) after: u64,
    pub(super) last: u64,
    pub(super) limit: u32,
    pub(super) bytes: usize,
}

/// Reads the range in windows, so that a row's size does not decide what the server sends in vain.
pub(super) async fn read(transaction: &mut PgConnection, source: &Source, range: Range) -> Result<Batch, Error> {
    // The numbers' index is all that is needed, also where no statistics say so yet.
    run(transaction, "SET LOCAL enable_seqscan = off".into()).await?;
    let mut batch = Batch::new(source.width);
    let end = range.after.saturating_add(range.limit.into()).min(range.last);
    let mut after = range.after;
    while after < end && batch.bytes() < range.bytes {
        let window = after.saturating_add(window(&batch, range.bytes)).min(end);
        let before = batch.len() as u64;
        read_window(transaction, source, (after, window), range.bytes, &mut batch).await?;
        if batch.bytes() < range.bytes && batch.len() as u64 - before != window - after {
            return Err(Error::Failed(format!("rows of {} are missing or doubled", source.table)));
        }
        after = window;
    }
    Ok(batch)
}

/// How many rows to ask for next.
fn window(batch: &Batch, bytes: usize) -> u64 {
    if bytes == usize::MAX {
        return u64::MAX;
    }
    let rows = batch.len() as u64;
    let left = bytes.saturating_sub(batch.bytes()) as u64;
    match batch.bytes() as u64 {
        0 => FIRST_WINDOW.max(rows),
        used => (left * rows / used).clamp(1, FIRST_WINDOW.max(8 * rows)),
    }
}

async fn read_window(
    transaction: &mut PgConnection,
    source: &Source,
    (after, last): (u64, u64),
    bytes: usize,
    batch: &mut Batch,
) -> Result<(), Error> {
    let Source { table, columns, .. } = source;
    let sql = format!("SELECT {columns} FROM {table} WHERE {ROW} > {after} AND {ROW} <= {last} ORDER BY {ROW}");
    let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(transaction);
    while let Some(row) = rows.try_next().await? {
        push(batch, &row)?;
        if batch.bytes() >= bytes {
            break;
        }
    }
    Ok(())
}

fn push(batch: &mut Batch, row: &PgRow) -> Result<(), Error> {
    let cells = (0..batch.width()).map(|index| Ok(row.try_get::<Option<&str>, _>(index)?));
    let cells = cells.collect::<Result<Vec<_>, Error>>()?;
    batch.push_row(cells).map_err(|error| Error::Failed(error.to_string()))
}
