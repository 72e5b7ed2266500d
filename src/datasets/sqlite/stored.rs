//! What SQLite keeps of a cell: numbers as numbers, truth as 0 or 1, moments in the form of its own date functions.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

use super::super::{ColumnType, Error, value};

/// The type of a column as SQLite is told it.
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

/// What is kept of a cell that [`ColumnType::canonical`] wrote.
pub(super) fn stored(kind: ColumnType, text: &str) -> Result<ToSqlOutput<'_>, Error> {
    let wrong = || Error::Failed(format!("{text:?} came as a {kind:?} and is none"));
    let owned = match kind {
        ColumnType::Text | ColumnType::Date => return Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
        ColumnType::Integer => Value::Integer(text.parse().map_err(|_| wrong())?),
        ColumnType::Real => Value::Real(value::real(text).ok_or_else(wrong)?),
        ColumnType::Boolean => Value::Integer(i64::from(text == "true")),
        // Without the Z, a fraction of a second sorts behind the whole one.
        ColumnType::Timestamp => Value::Text(text.trim_end_matches('Z').replace('T', " ")),
    };
    Ok(ToSqlOutput::Owned(owned))
}

/// The text of a value that [`stored`] made.
pub(super) fn shown(kind: ColumnType, kept: ValueRef<'_>) -> Result<Option<Cow<'_, str>>, Error> {
    let broken = |error| Error::Failed(format!("a cell of a segment is no text: {error}"));
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
