//! Where in a table its rows lie: the numbers of the rows that begin some of its pages. A window of numbers is then a range of
//! pages, which is read a quarter faster than through the index. It is a guess that the rows' count confirms.

use sqlx::{AssertSqlSafe, PgConnection};

use super::super::{Error, Window};
use super::schema::ROW;

/// From one noted page to the next.
const PAGES: u32 = 32;

/// The first version of PostgreSQL that reads ranges of pages.
const SINCE: i32 = 140_000;

/// The numbers of rows and the pages that they begin, ascending; empty where pages cannot be used.
pub(super) struct Places(Vec<(i64, i64)>);

impl Places {
    /// Looks at the first row of every so many pages of `table`, which is quoted.
    pub(super) async fn look(connection: &mut PgConnection, table: &str) -> Result<Places, Error> {
        let version: i32 =
            sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(&mut *connection).await?;
        if version < SINCE {
            return Ok(Places(Vec::new()));
        }
        let sql = format!(
            "SELECT {ROW}, (ctid::text::point)[0]::bigint FROM {table} WHERE ctid = ANY(ARRAY(
                SELECT format('(%s,1)', page)::tid FROM generate_series(0,
                    pg_relation_size('{}'::regclass) / current_setting('block_size')::int - 1, {PAGES}) AS page))
             ORDER BY ctid",
            table.replace('\'', "''")
        );
        let places: Vec<(i64, i64)> =
            sqlx::query_as(AssertSqlSafe(sql)).persistent(false).fetch_all(connection).await?;
        let ordered = places.is_sorted_by(|one, next| one.0 < next.0);
        Ok(Places(if ordered { places } else { Vec::new() }))
    }

    /// The condition for the pages on which the window's rows lie; none where that is not known.
    pub(super) fn condition(&self, Window { after, last }: Window) -> Option<String> {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let from = self.0.partition_point(|(number, _)| *number <= signed(after).saturating_add(1)).checked_sub(1)?;
        let to = self.0.partition_point(|(number, _)| *number <= signed(last));
        let start = format!(" AND ctid >= '({},0)'", self.0[from].1);
        Some(match self.0.get(to) {
            Some((_, page)) => format!("{start} AND ctid < '({page},0)'"),
            None => start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lies_between_noted_pages() {
        let places = Places(vec![(1, 0), (100, 32), (205, 64)]);
        let condition = |after, last| places.condition(Window { after, last }).unwrap();
        assert_eq!(condition(0, 99), " AND ctid >= '(0,0)' AND ctid < '(32,0)'");
        assert_eq!(condition(99, 100), " AND ctid >= '(32,0)' AND ctid < '(64,0)'");
        assert_eq!(condition(98, 300), " AND ctid >= '(0,0)'");
        assert_eq!(Places(Vec::new()).condition(Window { after: 0, last: 9 }), None);
    }
}
