//! Publishing in the catalog: one transaction makes the segment of an import a dataset, or a part of one.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::model::to_json;
use super::super::publication::{NameUse, PublishStep};
use super::super::{DatasetName, Error, ImportPlan};
use super::MAX_COLUMNS;
use super::listing::{get, unsigned};
use super::segment::{Bookkeeping, Segment, table};
use crate::numbers::signed;
use crate::task::TaskId;

/// Record of a published import. It outlives the bookkeeping in the segment.
pub(super) struct PublishRecord {
    pub(super) rows: u64,
    pub(super) cursor: Option<String>,
}

/// State of a task's segment in the catalog.
pub(super) enum PublishState {
    /// Published, with a record.
    Recorded(PublishRecord),
    /// Published, and the record was purged: the file is not a staging.
    Listed,
    /// Not published: the file, if there is one, is a staging.
    Unlisted,
}

/// Returns the state of a task's segment.
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

/// Returns the steps that publish an import as the catalog is now, or the refusal.
pub(super) fn steps(catalog: &Connection, plan: &ImportPlan) -> Result<Vec<PublishStep>, Error> {
    let existing = get(catalog, &plan.dataset)?;
    plan.publish_steps(existing.as_ref().map_or(NameUse::Free, NameUse::Dataset), MAX_COLUMNS)
}

/// Publishes the segment of a task and returns its rows. Changes nothing if that was done before, or if the lease is
/// lost.
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
    for step in steps(catalog, &kept.plan)? {
        match step {
            PublishStep::RetireExisting => drop(unlist(catalog, &kept.plan.dataset)?),
            PublishStep::CreateFromStaging => {
                list(catalog, &kept.plan, now)?;
                add_part(catalog, task, kept, 0)?;
            }
            PublishStep::AppendStaging { after } => {
                add_part(catalog, task, kept, after)?;
                record_append(catalog, &kept.plan.dataset, now)?;
            }
        }
    }
    catalog.execute(
        "INSERT INTO publication (task, rows, cursor) VALUES (?1, ?2, ?3)",
        params![task.to_string(), signed(kept.rows), kept.cursor],
    )?;
    Ok(kept.rows)
}

/// Lists the dataset without rows.
fn list(catalog: &Transaction, plan: &ImportPlan, now: jiff::Timestamp) -> Result<(), Error> {
    catalog.execute(
        "INSERT INTO dataset (name, columns, rows, created_at) VALUES (?1, ?2, 0, ?3)",
        params![plan.dataset.as_str(), to_json(&plan.columns)?, now.to_string()],
    )?;
    Ok(())
}

fn add_part(catalog: &Transaction, task: TaskId, kept: &Bookkeeping, after: u64) -> Result<(), Error> {
    let name = &kept.plan.dataset;
    catalog.execute(
        "INSERT INTO dataset_part (dataset, first, segment, content, rows) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name.as_str(), signed(after + 1), task.to_string(), table(name), signed(kept.rows)],
    )?;
    let sql = "UPDATE dataset SET rows = rows + ?2 WHERE name = ?1";
    catalog.execute(sql, params![name.as_str(), signed(kept.rows)])?;
    Ok(())
}

fn record_append(catalog: &Transaction, name: &DatasetName, now: jiff::Timestamp) -> Result<(), Error> {
    let sql = "INSERT INTO appended (dataset, at) VALUES (?1, ?2) ON CONFLICT (dataset) DO UPDATE SET at = excluded.at";
    catalog.execute(sql, params![name.as_str(), now.as_microsecond()])?;
    Ok(())
}

/// Removes a dataset from the catalog and retires its segments. Returns false if there is none.
pub(super) fn unlist(catalog: &Transaction, name: &DatasetName) -> Result<bool, Error> {
    let name = [name.as_str()];
    catalog.execute("INSERT OR IGNORE INTO garbage SELECT segment FROM dataset_part WHERE dataset = ?1", name)?;
    catalog.execute("DELETE FROM dataset_part WHERE dataset = ?1", name)?;
    catalog.execute("DELETE FROM appended WHERE dataset = ?1", name)?;
    Ok(catalog.execute("DELETE FROM dataset WHERE name = ?1", name)? > 0)
}

/// Deletes the publish record of a task.
pub(super) fn purge_import(catalog: &Transaction, task: TaskId) -> Result<(), Error> {
    catalog.execute("DELETE FROM publication WHERE task = ?1", [task.to_string()])?;
    Ok(())
}
