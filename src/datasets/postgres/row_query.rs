//! Reads rows of a table by ranges of their numbers.

use std::borrow::Cow;

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::super::{Batch, Column, ColumnType, Error, value};
use super::schema::run_statement;
use super::schema::{ROW, names};

/// A table and its columns, quoted.
pub(super) struct RowQuery {
    pub(super) table: String,
    /// Expressions of the texts.
    pub(super) columns: String,
    kinds: Vec<ColumnType>,
}

impl RowQuery {
    /// Selects the columns of `table`, which is quoted.
    pub(super) fn new(table: String, columns: &[Column]) -> Self {
        let shown: Vec<_> = names(columns).iter().zip(columns).map(|(name, column)| shown(name, column.kind)).collect();
        let kinds = columns.iter().map(|column| column.kind).collect();
        Self { table, columns: shown.join(", "), kinds }
    }

    /// Returns an empty batch for the rows.
    pub(super) fn batch(&self) -> Batch {
        Batch::new(self.kinds.len())
    }

    /// Adds a row of the columns. Returns false if the page is full.
    pub(super) fn push(&self, batch: &mut Batch, row: &PgRow) -> Result<bool, Error> {
        let cells = self.kinds.iter().enumerate().map(|(index, kind)| cell(*kind, row.try_get(index)?));
        let cells = cells.collect::<Result<Vec<_>, Error>>()?;
        let cells: Vec<_> = cells.iter().map(Option::as_deref).collect();
        batch.push_within_page(&cells).map_err(|error| Error::Failed(error.to_string()))
    }
}

/// Returns the canonical text of a cell. That of a number is not PostgreSQL's, which writes `1e+300`.
fn cell(kind: ColumnType, text: Option<&str>) -> Result<Option<Cow<'_, str>>, Error> {
    match text {
        Some(text) if kind == ColumnType::Real => {
            let number = text.parse().map_err(|_| Error::Failed(format!("PostgreSQL sent {text:?} for a number")))?;
            Ok(Some(value::real_text(number).into()))
        }
        text => Ok(text.map(Cow::Borrowed)),
    }
}

/// Returns the expression for a column's text. It does not depend on the settings of the session.
pub(super) fn shown(name: &str, kind: ColumnType) -> String {
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

/// Selects the rows with numbers from `after` + 1 to `last`, at most `limit`.
#[derive(Clone, Copy)]
pub(super) struct RowQueryRange {
    pub(super) after: u64,
    pub(super) last: u64,
    pub(super) limit: u32,
}

/// Reads the range, up to the size of a page. Returns true if all of it was read. If not, the connection still has rows
/// to send.
pub(super) async fn read_batch(
    transaction: &mut PgConnection,
    source: &RowQuery,
    range: RowQueryRange,
) -> Result<(Batch, bool), Error> {
    // Forces the index of row numbers, even while no statistics suggest it. Without the index the estimated cost is so high
    // that the statement would be compiled, which takes many seconds for a wide table.
    run_statement(transaction, "SET LOCAL enable_seqscan = off; SET LOCAL jit = off".into()).await?;
    let mut batch = source.batch();
    let (after, last) = (range.after, range.after.saturating_add(range.limit.into()).min(range.last));
    if after >= last {
        return Ok((batch, true));
    }
    let RowQuery { table, columns, .. } = source;
    let sql = format!("SELECT {columns} FROM {table} WHERE {ROW} > {after} AND {ROW} <= {last} ORDER BY {ROW}");
    let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(transaction);
    while let Some(row) = rows.try_next().await? {
        if !source.push(&mut batch, &row)? {
            return Ok((batch, false));
        }
    }
    if batch.len() as u64 != last - after {
        return Err(Error::Failed(format!("rows of {table} are missing or duplicated")));
    }
    Ok((batch, true))
}
