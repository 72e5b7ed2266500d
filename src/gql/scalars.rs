//! The scalars that GraphQL itself lacks.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::Timestamp;

/// The largest whole number that a JSON number holds exactly in every client.
const LARGEST: u64 = 1 << 53;

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub Timestamp);

/// An RFC 3339 instant, such as `2026-01-31T12:00:00Z`. Any offset is understood; answers are in UTC.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let refuse =
            |_| InputValueError::custom(format!("{text:?} is no RFC 3339 instant, such as 2026-01-31T12:00:00Z"));
        text.parse().map(DateTime).map_err(refuse)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<Timestamp> for DateTime {
    fn from(at: Timestamp) -> DateTime {
        DateTime(at)
    }
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

/// A whole number from 0 to 2^53 - 1, as a JSON number: rows, bytes and digits outgrow Int.
#[Scalar(name = "Count")]
impl ScalarType for Count {
    fn parse(value: Value) -> InputValueResult<Self> {
        let count = match &value {
            Value::Number(number) => number.as_u64().filter(|count| *count < LARGEST),
            _ => return Err(InputValueError::expected_type(value)),
        };
        count.map(Count).ok_or_else(|| InputValueError::custom("a whole number from 0 to 2^53 - 1 is expected"))
    }

    fn to_value(&self) -> Value {
        Value::from(self.0.min(LARGEST - 1))
    }
}

/// A file part of a request, by the id of the upload that it became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload(pub String);

/// A file part of a GraphQL multipart request, as the `map` of the request names it. The server streams it to disk and puts
/// its upload id here; so the id that POST /uploads answered serves as well.
#[Scalar(name = "Upload", specified_by_url = "https://github.com/jaydenseric/graphql-multipart-request-spec")]
impl ScalarType for Upload {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(id) => Ok(Upload(id)),
            _ => Err(InputValueError::custom("a file part of a multipart request is expected")),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
