//! Values of columns, as they are written and read.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;

/// A value to be written.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Value<'t> {
    /// NULL.
    Null,
    /// A text.
    Text(Cow<'t, str>),
    /// A whole number.
    Integer(i64),
    /// Any number.
    Real(f64),
}

/// A value of a row that was read.
#[derive(Clone, Copy)]
pub struct Cell<'r> {
    /// The row.
    pub row: &'r AnyRow,
    /// Index of the column.
    pub index: usize,
}

impl<'t> From<&'t str> for Value<'t> {
    fn from(text: &'t str) -> Value<'t> {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Value::Real(number)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(at: Timestamp) -> Self {
        Value::Integer(at.as_microsecond())
    }
}

impl<'t, T: Into<Value<'t>>> From<Option<T>> for Value<'t> {
    fn from(value: Option<T>) -> Value<'t> {
        value.map_or(Value::Null, T::into)
    }
}

impl Cell<'_> {
    pub(super) fn text(self) -> sqlx::Result<String> {
        self.row.try_get(self.index)
    }

    pub(super) fn text_if(self) -> sqlx::Result<Option<String>> {
        self.row.try_get(self.index)
    }

    pub(super) fn integer(self) -> sqlx::Result<i64> {
        self.row.try_get(self.index)
    }

    pub(super) fn integer_if(self) -> sqlx::Result<Option<i64>> {
        self.row.try_get(self.index)
    }

    pub(super) fn real_if(self) -> sqlx::Result<Option<f64>> {
        self.row.try_get(self.index)
    }

    pub(super) fn count(self) -> sqlx::Result<u32> {
        u32::try_from(self.integer()?).map_err(decode)
    }

    pub(super) fn moment(self) -> sqlx::Result<Timestamp> {
        Timestamp::from_microsecond(self.integer()?).map_err(decode)
    }

    pub(super) fn moment_if(self) -> sqlx::Result<Option<Timestamp>> {
        self.integer_if()?.map(|at| Timestamp::from_microsecond(at).map_err(decode)).transpose()
    }

    pub(super) fn parsed<T>(self) -> sqlx::Result<T>
    where
        T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        self.text()?.parse().map_err(decode)
    }
}

/// The error of a value that cannot be read.
pub fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
