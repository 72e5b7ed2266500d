//! Finds the pages of a table that have the rows after a number, by binary search: rows are stored nearly in order.

use std::ops::Range;

use sqlx::{AssertSqlSafe, PgConnection};

use super::super::Error;
use super::schema::ROW;
use super::staging::SPREAD;

/// First version of PostgreSQL that can scan ranges of pages.
const SINCE: i32 = 140_000;

/// Pages read in each step.
const SAMPLE: u64 = 4;

/// Returns the pages of `table` (quoted) from the first that may have a row after number `after`. Empty if the server
/// cannot scan ranges of pages. If rows are stored less in order than an import leaves them, the range may miss rows.
pub(super) async fn page_range(connection: &mut PgConnection, table: &str, after: u64) -> Result<Range<u64>, Error> {
    let sql = "SELECT current_setting('server_version_num')::int,
        pg_relation_size($1::regclass) / current_setting('block_size')::int";
    let (version, pages): (i32, i64) = sqlx::query_as(sql).bind(table).fetch_one(&mut *connection).await?;
    if version < SINCE {
        return Ok(0..0);
    }
    let (mut start, mut beyond) = (0, pages.unsigned_abs());
    let target = after.saturating_sub(SPREAD);
    while target > 0 && beyond - start > SAMPLE {
        let page = u64::midpoint(start, beyond);
        match first_row(connection, table, page).await? {
            Some(row) if row <= target => start = page,
            _ => beyond = page,
        }
    }
    Ok(start..pages.unsigned_abs())
}

/// Returns the smallest row number on a page or the next ones.
async fn first_row(connection: &mut PgConnection, table: &str, page: u64) -> Result<Option<u64>, Error> {
    let sql = format!("SELECT min({ROW}) FROM {table} WHERE {}", pages(&(page..page + SAMPLE)));
    let row: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *connection).await?;
    Ok(row.map(i64::unsigned_abs))
}

/// Returns the condition that rows are on these pages.
pub(super) fn pages(pages: &Range<u64>) -> String {
    format!("ctid >= '({},0)' AND ctid < '({},0)'", pages.start, pages.end)
}
