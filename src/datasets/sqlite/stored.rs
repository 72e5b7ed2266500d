//! Stored form of cells: numbers as numbers, booleans as 0 or 1, timestamps in the form of SQLite's date functions.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use super::super::{ColumnType, Error, value};

/// Returns the type of a column in SQLite.
pub(super) fn declared(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "TEXT",
        ColumnType::Integer => "INTEGER",
        ColumnType::Real => "REAL",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
    }
}

/// Returns the stored form of a cell in the form of [`ColumnType::canonical`].
pub(super) fn stored(kind: ColumnType, text: &str) -> Result<ToSqlOutput<'_>, Error> {
    let wrong = || Error::Failed(format!("{text:?} is not a valid {kind:?}"));
    let owned = match kind {
        ColumnType::Text | ColumnType::Date => return Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
        ColumnType::Integer => Value::Integer(text.parse().map_err(|_| wrong())?),
        ColumnType::Real => Value::Real(value::real(text).ok_or_else(wrong)?),
        ColumnType::Boolean => Value::Integer(i64::from(text == "true")),
        // Without the Z, a timestamp with a fraction sorts after the same second without one.
        ColumnType::Timestamp => Value::Text(text.trim_end_matches('Z').replace('T', " ")),
    };
    Ok(ToSqlOutput::Owned(owned))
}

/// Returns the text of a value that [`stored`] returned.
pub(super) fn shown(kind: ColumnType, kept: ValueRef<'_>) -> Result<Option<Cow<'_, str>>, Error> {
    let broken = |error| Error::Failed(format!("a cell of a segment is not valid UTF-8: {error}"));
    Ok(match kept {
        ValueRef::Null => None,
        ValueRef::Integer(truth) if kind == ColumnType::Boolean => Some((truth != 0).to_string().into()),
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) => Some(value::real_text(number).into()),
        ValueRef::Text(_) | ValueRef::Blob(_) => {
            let text = kept.as_str().map_err(broken)?;
            let moment = kind == ColumnType::Timestamp;
            Some(if moment { format!("{}Z", text.replace(' ', "T")).into() } else { text.into() })
        }
    })
}
