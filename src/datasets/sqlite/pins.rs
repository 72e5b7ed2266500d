//! Who reads which segments, and which are needed no more.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::model::{STREAM, from_json, to_json};
use super::super::{DatasetName, Error, PinHolder, Snapshot};
use super::listing::{parts, query_parts, signed, unsigned};

/// Holds the dataset as it stands for the holder, or answers what it holds already.
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

/// What the holder has.
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

/// Lets go of what the holder has.
pub(super) fn unpin(catalog: &Transaction, holder: PinHolder) -> Result<(), Error> {
    catalog.execute("DELETE FROM pin_part WHERE holder = ?1", [holder.to_string()])?;
    catalog.execute("DELETE FROM pin WHERE holder = ?1", [holder.to_string()])?;
    Ok(())
}

/// Lets go of what streams held: at the start none is left.
pub(super) fn unpin_streams(catalog: &Transaction) -> Result<(), Error> {
    let streams = format!("{STREAM}*");
    catalog.execute("DELETE FROM pin_part WHERE holder GLOB ?1", [&streams])?;
    catalog.execute("DELETE FROM pin WHERE holder GLOB ?1", [&streams])?;
    Ok(())
}

/// The segments that are listed no more and that no pin holds.
pub(super) fn garbage(catalog: &Connection) -> Result<Vec<String>, Error> {
    let mut statement =
        catalog.prepare_cached("SELECT segment FROM garbage WHERE segment NOT IN (SELECT segment FROM pin_part)")?;
    let segments = statement.query_map([], |row| row.get(0))?;
    Ok(segments.collect::<Result<_, _>>()?)
}

/// Strikes segments from the garbage: their files are gone.
pub(super) fn forget_garbage(catalog: &Transaction, segments: &[String]) -> Result<(), Error> {
    let mut statement = catalog.prepare_cached("DELETE FROM garbage WHERE segment = ?1")?;
    for segment in segments {
        statement.execute([segment])?;
    }
    Ok(())
}
