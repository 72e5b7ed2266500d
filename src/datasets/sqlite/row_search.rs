//! Finds the rows of a page by conditions and an order: first their numbers, in one segment after the other, then the rows.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};
use std::time::Instant;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::super::identifiers::quoted;
use super::super::model::SnapshotPart;
use super::super::row_order::{SortKey, follows, order_by};
use super::super::row_page::{RowSearch, SEARCH_LIMIT};
use super::super::{Batch, Column, Error, PAGE_BYTES, RowPage};
use super::SqliteState;
use super::conditions::SqlConditions;
use super::listing::unsigned;
use super::segment::names;
use super::stored::shown;
use crate::clock::Clock;
use crate::numbers::signed;

/// Instructions of SQLite between two checks of the limits.
const CHECK_EVERY: i32 = 20_000;

/// A search in the segments of a dataset.
pub(super) struct SegmentSearch<'a> {
    shared: &'a SqliteState,
    columns: &'a [Column],
    parts: &'a [SnapshotPart],
    search: &'a RowSearch,
    conditions: SqlConditions,
    keys: Vec<SortKey>,
    deadline: Instant,
    abandoned: &'a Arc<AtomicBool>,
}

/// A row that was found, with its values in the columns of the order.
struct FoundRow {
    keys: Vec<Value>,
    number: u64,
}

impl FoundRow {
    fn bytes(&self) -> usize {
        let bytes = |key: &Value| if let Value::Text(text) = key { text.len() } else { 0 };
        self.keys.iter().map(bytes).sum()
    }
}

/// A row that the page begins after or ends before.
struct PageEdge {
    row: FoundRow,
    is_end: bool,
}

impl<'a> SegmentSearch<'a> {
    /// Prepares a search. It ends when `abandoned` is set.
    pub(super) fn new(
        shared: &'a SqliteState,
        (columns, parts): (&'a [Column], &'a [SnapshotPart]),
        search: &'a RowSearch,
        abandoned: &'a Arc<AtomicBool>,
    ) -> SegmentSearch<'a> {
        let names = names(columns);
        let key = |index: usize, descending| SortKey { column: names[index].clone(), descending };
        let keys = search.order.iter().map(|sort| key(sort.index, sort.descending)).collect();
        let conditions = SqlConditions::new(columns, &search.conditions, 1);
        let deadline = Clock::monotonic() + SEARCH_LIMIT;
        SegmentSearch { shared, columns, parts, search, conditions, keys, deadline, abandoned }
    }

    /// Returns the page.
    pub(super) fn page(&self) -> Result<RowPage, Error> {
        let bounds = self.search.bounds().map(|(number, is_end)| Ok(PageEdge { row: self.found_row(number)?, is_end }));
        let bounds = bounds.collect::<Result<Vec<_>, Error>>()?;
        let found = self.find(&bounds)?;
        let page = self.read(&found)?;
        Ok(if self.search.from_end { page.reversed() } else { page })
    }

    /// Returns the number of rows that match the conditions.
    pub(super) fn count(&self) -> Result<u64, Error> {
        let count = |part: &SnapshotPart| {
            let (table, conditions) = (quoted(&part.table), self.conditions.sql());
            let sql = format!("SELECT count(*) FROM {table} WHERE _rowid_ <= {}{conditions}", part.rows);
            let values = self.conditions.values().collect::<Result<Vec<_>, Error>>()?;
            self.with(part, |connection| {
                Ok(connection.query_row(&sql, params_from_iter(values), |row| unsigned(row, 0))?)
            })
        };
        self.parts.iter().map(count).sum()
    }

    /// Finds the first rows of the page, one more than the page may have. In reverse order if the last ones are requested.
    fn find(&self, bounds: &[PageEdge]) -> Result<Vec<FoundRow>, Error> {
        let mut parts: Vec<_> = self.parts.iter().collect();
        if self.search.from_end {
            parts.reverse();
        }
        let mut found = Vec::new();
        for part in parts {
            if self.keys.is_empty() && found.len() >= self.search.fetch_limit() {
                break;
            }
            found.extend(self.find_in(part, bounds)?);
            self.keep_first(&mut found);
        }
        Ok(found)
    }

    /// Keeps the first rows: not more than a page may have, by their number and by their size.
    fn keep_first(&self, found: &mut Vec<FoundRow>) {
        if !self.keys.is_empty() {
            found.sort_by(|one, other| self.compare(one, other));
        }
        found.truncate(self.search.fetch_limit());
        let mut bytes = 0;
        let beyond = found.iter().position(|row| {
            bytes += row.bytes();
            bytes > PAGE_BYTES
        });
        if let Some(beyond) = beyond {
            found.truncate(beyond + 1);
        }
    }

    /// Finds the first rows in one segment.
    fn find_in(&self, part: &SnapshotPart, bounds: &[PageEdge]) -> Result<Vec<FoundRow>, Error> {
        let sql = self.sql(part, bounds);
        let bound_values = bounds.iter().flat_map(|bound| &bound.row.keys).filter(|key| **key != Value::Null);
        let bound_values = bound_values.map(|key| Ok(ToSqlOutput::Borrowed(ValueRef::from(key))));
        let values = self.conditions.values().chain(bound_values).collect::<Result<Vec<_>, Error>>()?;
        self.with(part, |connection| {
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let (mut found, mut bytes) = (Vec::new(), 0);
            while bytes <= PAGE_BYTES
                && let Some(row) = rows.next()?
            {
                let keys = (0..self.keys.len()).map(|index| row.get(index)).collect::<Result<Vec<_>, _>>()?;
                let row = FoundRow { keys, number: part.first - 1 + unsigned(row, self.keys.len())? };
                bytes += row.bytes();
                found.push(row);
            }
            Ok(found)
        })
    }

    fn sql(&self, part: &SnapshotPart, bounds: &[PageEdge]) -> String {
        let (begin, end) = self.search.number_bounds();
        let before = part.first - 1;
        let (begin, end) = (begin.saturating_sub(before), end.saturating_sub(before).min(part.rows + 1));
        let (keys, conditions) = (self.key_columns(), self.conditions.sql());
        let (mut parameter, mut bounded) = (self.conditions.next(), String::new());
        for bound in bounds {
            let values = bound.row.keys.iter().map(|key| {
                let text = format!("?{parameter}");
                (*key != Value::Null).then(|| {
                    parameter += 1;
                    text
                })
            });
            let values: Vec<_> = values.collect();
            let row = (&*format!("_rowid_ + {before}"), bound.row.number);
            bounded.push_str(&format!(" AND {}", follows(&self.keys, &values, row, bound.is_end)));
        }
        format!(
            "SELECT {keys}_rowid_ FROM {} WHERE _rowid_ > {} AND _rowid_ < {}{conditions}{bounded} ORDER BY {} LIMIT {}",
            quoted(&part.table),
            signed(begin),
            signed(end),
            order_by(&self.keys, "_rowid_", self.search.from_end),
            self.search.fetch_limit()
        )
    }

    fn key_columns(&self) -> String {
        self.keys.iter().map(|key| format!("{}, ", key.column)).collect()
    }

    /// Returns a row by its number, with its values in the columns of the order.
    fn found_row(&self, number: u64) -> Result<FoundRow, Error> {
        let (part, own) = self.part_of(number)?;
        let sql = format!("SELECT {}_rowid_ FROM {} WHERE _rowid_ = ?1", self.key_columns(), quoted(&part.table));
        let keys = self.with(part, |connection| {
            let keys = connection.query_row(&sql, [signed(own)], |row| {
                (0..self.keys.len()).map(|index| row.get(index)).collect::<Result<Vec<Value>, _>>()
            });
            Ok(keys.optional()?)
        })?;
        Ok(FoundRow { keys: keys.ok_or_else(|| missing(number))?, number })
    }

    /// Reads the rows that were found, up to the limits of a page.
    fn read(&self, found: &[FoundRow]) -> Result<RowPage, Error> {
        let limit = self.search.limit as usize;
        let mut page = RowPage { batch: Batch::new(self.columns.len()), ..RowPage::default() };
        page.more = found.len() > limit;
        for row in found.iter().take(limit) {
            let (part, own) = self.part_of(row.number)?;
            let added = self.with(part, |connection| self.read_row(connection, part, own, &mut page.batch))?;
            if !added {
                page.more = true;
                break;
            }
            page.numbers.push(row.number);
        }
        Ok(page)
    }

    /// Adds a row to the batch. Returns false if the page is full.
    fn read_row(
        &self,
        connection: &Connection,
        part: &SnapshotPart,
        own: u64,
        batch: &mut Batch,
    ) -> Result<bool, Error> {
        let sql = format!("SELECT * FROM {} WHERE _rowid_ = ?1", quoted(&part.table));
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([signed(own)])?;
        let row = rows.next()?.ok_or_else(|| missing(part.first - 1 + own))?;
        let columns = self.columns.iter().enumerate();
        let cells = columns.map(|(index, column)| shown(column.kind, row.get_ref(index)?));
        let cells = cells.collect::<Result<Vec<_>, Error>>()?;
        let cells: Vec<_> = cells.iter().map(Option::as_deref).collect();
        batch.push_within_page(&cells).map_err(|error| Error::Failed(format!("a segment has an invalid row: {error}")))
    }

    /// Returns the segment of a row, and the row's number in it.
    fn part_of(&self, number: u64) -> Result<(&SnapshotPart, u64), Error> {
        let part = self.parts.iter().rfind(|part| part.first <= number).ok_or_else(|| missing(number))?;
        Ok((part, number - part.first + 1))
    }

    /// Reads a segment, until the time is over or the caller does not wait for the rows any more.
    fn with<T>(&self, part: &SnapshotPart, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let (deadline, abandoned) = (self.deadline, Arc::clone(self.abandoned));
        let ends = move || abandoned.load(atomic::Ordering::Relaxed) || Clock::monotonic() > deadline;
        self.shared.readers.with(&self.shared.files, &part.container, |connection| {
            connection.progress_handler(CHECK_EVERY, Some(ends))?;
            let outcome = work(connection);
            connection.progress_handler(0, None::<fn() -> bool>)?;
            outcome
        })
    }

    fn compare(&self, one: &FoundRow, other: &FoundRow) -> Ordering {
        let keys = one.keys.iter().zip(&other.keys).zip(&self.keys).map(|((one, other), key)| {
            let order = compare_values(one, other);
            if key.descending { order.reverse() } else { order }
        });
        let order = keys.fold(Ordering::Equal, Ordering::then).then(one.number.cmp(&other.number));
        if self.search.from_end { order.reverse() } else { order }
    }
}

/// Compares two values of one column as SQLite does. Null is greater than every value.
fn compare_values(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (Value::Real(one), Value::Real(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        _ => Ordering::Equal,
    }
}

fn missing(number: u64) -> Error {
    Error::Failed(format!("row {number} is missing"))
}
