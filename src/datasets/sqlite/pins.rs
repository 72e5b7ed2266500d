//! Pins: which segments are read, and which can be deleted.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::model::{STREAM, from_json, to_json};
use super::super::publication::Retirement;
use super::super::{DatasetName, Error, PinHolder, Snapshot};
use super::listing::{parts, query_parts, unsigned};
use crate::numbers::signed;

/// Pins the dataset for the holder. Returns the earlier snapshot if the holder has one.
pub(super) fn pin(catalog: &Transaction, holder: PinHolder, name: &DatasetName) -> Result<Snapshot, Error> {
    if let Some(snapshot) = pinned(catalog, holder)? {
        return Ok(snapshot);
    }
    let (columns, parts) = parts(catalog, name)?;
    let rows = parts.iter().map(|part| part.rows).sum();
    catalog.execute(
        "INSERT INTO pin (holder, columns, rows) VALUES (?1, ?2, ?3)",
        params![holder.to_string(), to_json(&columns)?, signed(rows)],
    )?;
    catalog.execute(
        "INSERT INTO pin_part (holder, first, segment, content, rows)
         SELECT ?1, first, segment, content, rows FROM dataset_part WHERE dataset = ?2",
        [&holder.to_string(), name.as_str()],
    )?;
    Ok(Snapshot { columns, rows, parts })
}

/// Returns the snapshot of the holder.
pub(super) fn pinned(catalog: &Connection, holder: PinHolder) -> Result<Option<Snapshot>, Error> {
    let sql = "SELECT columns, rows FROM pin WHERE holder = ?1";
    let fields = |row: &rusqlite::Row| Ok((row.get::<_, String>(0)?, unsigned(row, 1)?));
    let Some((columns, rows)) = catalog.query_row(sql, [holder.to_string()], fields).optional()? else {
        return Ok(None);
    };
    let sql = "SELECT segment, content, first, rows FROM pin_part WHERE holder = ?1 ORDER BY first";
    let parts = query_parts(catalog, sql, &holder.to_string())?;
    Ok(Some(Snapshot { columns: from_json(&columns)?, rows, parts }))
}

/// Releases the pin of the holder.
pub(super) fn unpin(catalog: &Transaction, holder: PinHolder) -> Result<(), Error> {
    catalog.execute("DELETE FROM pin_part WHERE holder = ?1", [holder.to_string()])?;
    catalog.execute("DELETE FROM pin WHERE holder = ?1", [holder.to_string()])?;
    Ok(())
}

/// Releases the pins of all streams. At the start of the process no stream is left.
pub(super) fn unpin_streams(catalog: &Transaction) -> Result<(), Error> {
    let streams = format!("{STREAM}*");
    catalog.execute("DELETE FROM pin_part WHERE holder GLOB ?1", [&streams])?;
    catalog.execute("DELETE FROM pin WHERE holder GLOB ?1", [&streams])?;
    Ok(())
}

/// Returns the retired segments whose files can be deleted. Deleting a file takes the same time whatever its size.
pub(super) fn deletable(catalog: &Connection) -> Result<Vec<String>, Error> {
    let sql = "SELECT segment, segment IN (SELECT segment FROM pin_part) FROM garbage";
    let mut statement = catalog.prepare_cached(sql)?;
    let retired = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let mut deletable = Vec::new();
    for row in retired {
        let (segment, pinned) = row?;
        if Retirement::of(pinned, false) == Retirement::DropNow {
            deletable.push(segment);
        }
    }
    Ok(deletable)
}

/// Removes deleted segments from the list of retired ones.
pub(super) fn unlist_deleted(catalog: &Transaction, segments: &[String]) -> Result<(), Error> {
    let mut statement = catalog.prepare_cached("DELETE FROM garbage WHERE segment = ?1")?;
    for segment in segments {
        statement.execute([segment])?;
    }
    Ok(())
}
