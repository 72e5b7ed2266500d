//! Finds the rows of a page by conditions and an order: first their numbers, then the rows.

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::super::filter::ConditionSql;
use super::super::row_order::{SortKey, follows, order_by};
use super::super::row_page::{RowSearch, SEARCH_LIMIT};
use super::super::{Batch, Column, Error, RowPage};
use super::conditions::SqlColumns;
use super::row_query::{RowQuery, shown};
use super::schema::{ROW, names, run_statement};
use crate::numbers::signed;

/// A search in the table of a dataset.
pub(super) struct TableSearch<'a> {
    source: &'a RowQuery,
    columns: &'a [Column],
    search: &'a RowSearch,
    sql: SqlColumns,
    keys: Vec<SortKey>,
}

impl<'a> TableSearch<'a> {
    pub(super) fn new(source: &'a RowQuery, columns: &'a [Column], search: &'a RowSearch) -> TableSearch<'a> {
        let sql = SqlColumns::new(columns);
        let key = |index: usize, descending| SortKey { column: sql.column(index), descending };
        let keys = search.order.iter().map(|sort| key(sort.index, sort.descending)).collect();
        TableSearch { source, columns, search, sql, keys }
    }

    /// Returns the page of the first `rows` rows, and true if the connection has no more of them to send.
    pub(super) async fn page(mut self, connection: &mut PgConnection, rows: u64) -> Result<(RowPage, bool), Error> {
        limit_time(connection).await?;
        let mut conditions = self.sql.conditions(&self.search.conditions);
        for (number, is_end) in self.search.bounds() {
            let values = self.values_of(connection, number).await?;
            conditions.push_str(&format!(" AND {}", follows(&self.keys, &values, (ROW, number), is_end)));
        }
        let mut numbers = self.find(connection, &conditions, rows).await?;
        let more = numbers.len() > self.search.limit as usize;
        numbers.truncate(self.search.limit as usize);
        let (batch, all) = self.read(connection, &numbers).await?;
        numbers.truncate(batch.len());
        let numbers = numbers.into_iter().map(i64::unsigned_abs).collect();
        let page = RowPage { batch, numbers, more: more || !all };
        Ok((if self.search.from_end { page.reversed() } else { page }, all))
    }

    /// Returns the number of the first `rows` rows that match the conditions.
    pub(super) async fn count(mut self, connection: &mut PgConnection, rows: u64) -> Result<u64, Error> {
        limit_time(connection).await?;
        let (table, conditions) = (&self.source.table, self.sql.conditions(&self.search.conditions));
        let sql = format!("SELECT count(*) FROM {table} WHERE {ROW} <= {rows}{conditions}");
        let count = sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_one(connection);
        let count: i64 = count.await.map_err(too_slow)?;
        Ok(count.unsigned_abs())
    }

    /// Returns the values of a row in the columns of the order, as literals.
    async fn values_of(&mut self, connection: &mut PgConnection, number: u64) -> Result<Vec<Option<String>>, Error> {
        let names = names(self.columns);
        let order = &self.search.order;
        let texts: Vec<_> = order.iter().map(|key| shown(&names[key.index], self.columns[key.index].kind)).collect();
        let sql = format!("SELECT {} FROM {} WHERE {ROW} = {number}", texts.join(", "), self.source.table);
        let row: PgRow = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await.map_err(too_slow)?;
        let values = order.iter().enumerate().map(|(place, key)| {
            let text: Option<&str> = row.try_get(place)?;
            Ok(text.map(|text| self.sql.value(key.index, text)))
        });
        values.collect()
    }

    /// Returns the numbers of the rows, one more than the page may have. In reverse order if the last ones are requested.
    async fn find(&self, connection: &mut PgConnection, conditions: &str, rows: u64) -> Result<Vec<i64>, Error> {
        // An order by the row number is that of the index.
        let index_only = if self.keys.is_empty() { "off" } else { "on" };
        run_statement(connection, format!("SET LOCAL enable_seqscan = {index_only}")).await?;
        let (begin, end) = self.search.number_bounds();
        let end = end.min(rows.saturating_add(1));
        let (table, order) = (&self.source.table, order_by(&self.keys, ROW, self.search.from_end));
        let sql = format!(
            "SELECT {ROW} FROM {table} WHERE {ROW} > {} AND {ROW} < {}{conditions} ORDER BY {order} LIMIT {}",
            signed(begin),
            signed(end),
            self.search.fetch_limit()
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).persistent(false).fetch_all(connection).await.map_err(too_slow)
    }

    /// Reads rows in this order, up to the size of a page. Returns false if there are more.
    async fn read(&self, connection: &mut PgConnection, numbers: &[i64]) -> Result<(Batch, bool), Error> {
        run_statement(connection, "SET LOCAL enable_seqscan = off".into()).await?;
        let list: Vec<_> = numbers.iter().map(i64::to_string).collect();
        let list = format!("ARRAY[{}]::bigint[]", list.join(","));
        let RowQuery { table, columns, .. } = self.source;
        let sql =
            format!("SELECT {columns} FROM {table} WHERE {ROW} = ANY({list}) ORDER BY array_position({list}, {ROW})");
        let mut batch = self.source.batch();
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
        while let Some(row) = rows.try_next().await.map_err(too_slow)? {
            if !self.source.push(&mut batch, &row)? {
                return Ok((batch, false));
            }
        }
        match batch.len() == numbers.len() {
            true => Ok((batch, true)),
            false => Err(Error::Failed(format!("rows of {table} are missing or duplicated"))),
        }
    }
}

async fn limit_time(connection: &mut PgConnection) -> Result<(), Error> {
    let limit = SEARCH_LIMIT.as_millis();
    run_statement(connection, format!("SET LOCAL statement_timeout = {limit}; SET LOCAL jit = off")).await
}

fn too_slow(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.as_deref() == Some("57014") { Error::TooSlow } else { error.into() }
}
