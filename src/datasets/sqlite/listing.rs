//! Lists the datasets of the catalog.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::model::{SnapshotPart, from_json, parse_task, update_time};
use super::super::{Column, Dataset, DatasetName, Error};
use crate::task::TaskId;

const COLUMNS: &str = "name, columns, rows, created_at, (SELECT at FROM appended WHERE dataset = name) AS appended_at";

/// Range of datasets to list.
pub(super) struct ListRange {
    pub(super) after: Option<String>,
    pub(super) before: Option<String>,
    pub(super) limit: u32,
    pub(super) from_end: bool,
}

/// Returns the dataset with this name.
pub(super) fn get(catalog: &Connection, name: &DatasetName) -> Result<Option<Dataset>, Error> {
    let mut statement = catalog.prepare_cached(&format!("SELECT {COLUMNS} FROM dataset WHERE name = ?1"))?;
    let found = statement.query_row([name.as_str()], fields).optional()?;
    found.map(dataset).transpose()
}

/// Returns the datasets in the range, by name ascending.
pub(super) fn list(catalog: &Connection, range: &ListRange) -> Result<Vec<Dataset>, Error> {
    let order = if range.from_end { "DESC" } else { "ASC" };
    let mut statement = catalog.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM dataset WHERE name > coalesce(?1, '') AND (?2 IS NULL OR name < ?2)
         ORDER BY name {order} LIMIT ?3"
    ))?;
    let found = statement.query_map(params![range.after, range.before, range.limit], fields)?;
    let mut datasets = found.map(|fields| dataset(fields?)).collect::<Result<Vec<_>, _>>()?;
    if range.from_end {
        datasets.reverse();
    }
    Ok(datasets)
}

/// Returns the number of datasets.
pub(super) fn count(catalog: &Connection) -> Result<u64, Error> {
    Ok(catalog.query_row("SELECT count(*) FROM dataset", [], |row| unsigned(row, 0))?)
}

/// Returns the tasks whose segments the dataset has, newest first.
pub(super) fn importers(catalog: &Connection, name: &DatasetName, limit: u32) -> Result<Vec<TaskId>, Error> {
    let sql = "SELECT segment FROM dataset_part WHERE dataset = ?1 ORDER BY first DESC, segment DESC LIMIT ?2";
    let mut statement = catalog.prepare_cached(sql)?;
    let segments = statement.query_map(params![name.as_str(), limit], |row| row.get::<_, String>(0))?;
    segments.map(|segment| parse_task(&segment?)).collect()
}

/// Returns the columns of a dataset and the parts with its rows.
pub(super) fn parts(catalog: &Connection, name: &DatasetName) -> Result<(Vec<Column>, Vec<SnapshotPart>), Error> {
    let dataset = get(catalog, name)?.ok_or_else(|| Error::Missing(name.clone()))?;
    let sql = "SELECT segment, content, first, rows FROM dataset_part WHERE dataset = ?1 ORDER BY first";
    Ok((dataset.columns, query_parts(catalog, sql, name.as_str())?))
}

/// Returns the parts that `sql` finds for `key`.
pub(super) fn query_parts(catalog: &Connection, sql: &str, key: &str) -> Result<Vec<SnapshotPart>, Error> {
    let mut statement = catalog.prepare_cached(sql)?;
    let parts = statement.query_map([key], |row| {
        let (first, rows) = (unsigned(row, 2)?, unsigned(row, 3)?);
        Ok(SnapshotPart { container: row.get(0)?, table: row.get(1)?, first, rows })
    })?;
    Ok(parts.collect::<Result<_, _>>()?)
}

/// Reads a number that is never negative.
pub(super) fn unsigned(row: &Row, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

type DatasetFields = (String, String, u64, String, Option<i64>);

fn fields(row: &Row) -> rusqlite::Result<DatasetFields> {
    Ok((row.get(0)?, row.get(1)?, unsigned(row, 2)?, row.get(3)?, row.get(4)?))
}

fn dataset((name, columns, rows, created_at, appended_at): DatasetFields) -> Result<Dataset, Error> {
    let name = name.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))?;
    let created_at = created_at.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))?;
    let updated_at = update_time(created_at, appended_at)?;
    Ok(Dataset { name, columns: from_json(&columns)?, rows, created_at, updated_at })
}
