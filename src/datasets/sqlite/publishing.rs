//! What the catalog does where an import ends: one transaction makes its segment a dataset, or a part of one.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::model::to_json;
use super::super::{DatasetName, Error, ImportPlan, PublishMode};
use super::MAX_COLUMNS;
use super::listing::{get, signed, unsigned};
use super::segment::{Bookkeeping, Segment, table};
use crate::task::TaskId;

/// What is left of an import once it is published.
pub(super) struct PublishRecord {
    pub(super) rows: u64,
    pub(super) cursor: Option<String>,
}

/// How the catalog stands to the segment of a task.
pub(super) enum PublishState {
    /// PublishedStaging, and the record is kept.
    Recorded(PublishRecord),
    /// PublishedStaging, and the record is forgotten: the file is no staging.
    Listed,
    /// Not published: the file, where there is one, is a staging.
    Unlisted,
}

/// How the catalog stands to the segment of a task.
pub(super) fn publish_state(catalog: &Connection, task: TaskId) -> Result<PublishState, Error> {
    let task = task.to_string();
    let mut statement = catalog.prepare_cached("SELECT rows, cursor FROM publication WHERE task = ?1")?;
    let fields = |row: &rusqlite::Row| Ok(PublishRecord { rows: unsigned(row, 0)?, cursor: row.get(1)? });
    if let Some(record) = statement.query_row([&task], fields).optional()? {
        return Ok(PublishState::Recorded(record));
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM dataset_part WHERE segment = ?1)
        OR EXISTS (SELECT 1 FROM garbage WHERE segment = ?1)";
    let listed = catalog.prepare_cached(sql)?.query_row([&task], |row| row.get(0))?;
    Ok(if listed { PublishState::Listed } else { PublishState::Unlisted })
}

/// Lists the segment of the task, unless it lost its lease, and answers its rows; where that was done before, nothing
/// changes.
pub(super) fn publish(
    catalog: &Transaction,
    task: TaskId,
    segment: &Segment,
    now: jiff::Timestamp,
) -> Result<u64, Error> {
    if let PublishState::Recorded(record) = publish_state(catalog, task)? {
        return Ok(record.rows);
    }
    segment.confirm()?;
    let kept = &segment.kept;
    let existing = get(catalog, &kept.plan.dataset)?;
    kept.plan.check(existing.as_ref(), MAX_COLUMNS)?;
    if kept.plan.mode == PublishMode::Replace {
        unlist(catalog, &kept.plan.dataset)?;
    }
    let before = match (kept.plan.mode, existing) {
        (PublishMode::Append, Some(dataset)) => dataset.rows,
        _ => list(catalog, &kept.plan, now)?,
    };
    add_part(catalog, task, kept, before)?;
    catalog.execute(
        "INSERT INTO publication (task, rows, cursor) VALUES (?1, ?2, ?3)",
        params![task.to_string(), signed(kept.rows), kept.cursor],
    )?;
    Ok(kept.rows)
}

/// Makes the dataset with no rows yet.
fn list(catalog: &Transaction, plan: &ImportPlan, now: jiff::Timestamp) -> Result<u64, Error> {
    catalog.execute(
        "INSERT INTO dataset (name, columns, rows, created_at) VALUES (?1, ?2, 0, ?3)",
        params![plan.dataset.as_str(), to_json(&plan.columns)?, now.to_string()],
    )?;
    Ok(0)
}

fn add_part(catalog: &Transaction, task: TaskId, kept: &Bookkeeping, before: u64) -> Result<(), Error> {
    let name = &kept.plan.dataset;
    catalog.execute(
        "INSERT INTO dataset_part (dataset, first, segment, content, rows) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name.as_str(), signed(before + 1), task.to_string(), table(name), signed(kept.rows)],
    )?;
    let sql = "UPDATE dataset SET rows = rows + ?2 WHERE name = ?1";
    catalog.execute(sql, params![name.as_str(), signed(kept.rows)])?;
    Ok(())
}

/// Takes a dataset off the list and marks its segments as garbage; false where there was none.
pub(super) fn unlist(catalog: &Transaction, name: &DatasetName) -> Result<bool, Error> {
    let name = [name.as_str()];
    catalog.execute("INSERT OR IGNORE INTO garbage SELECT segment FROM dataset_part WHERE dataset = ?1", name)?;
    catalog.execute("DELETE FROM dataset_part WHERE dataset = ?1", name)?;
    Ok(catalog.execute("DELETE FROM dataset WHERE name = ?1", name)? > 0)
}

/// Drops the record of a task.
pub(super) fn purge_import(catalog: &Transaction, task: TaskId) -> Result<(), Error> {
    catalog.execute("DELETE FROM publication WHERE task = ?1", [task.to_string()])?;
    Ok(())
}
