//! The scalars of the API beside those of GraphQL.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use jiff::Timestamp;

/// Exclusive upper bound of [`Count`]: every client holds smaller whole numbers exactly as a JSON number.
const COUNT_END: u64 = 1 << 53;

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub Timestamp);

/// An RFC 3339 instant, such as `2026-01-31T12:00:00Z`. Input may have any offset. Output is in UTC.
#[Scalar(name = "DateTime", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let refuse = |_| {
            InputValueError::custom(format!(
                "{text:?} is not a valid DateTime: expected an RFC 3339 instant such as 2026-01-31T12:00:00Z"
            ))
        };
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

/// A number of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

/// Whole number from 0 to 2^53 - 1, as a JSON number. Used where Int is too small: rows, bytes, digits.
#[Scalar(name = "Count", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259#section-6")]
impl ScalarType for Count {
    fn parse(value: Value) -> InputValueResult<Self> {
        let count = match &value {
            Value::Number(number) => number.as_u64().filter(|count| *count < COUNT_END),
            _ => return Err(InputValueError::expected_type(value)),
        };
        let refused = || format!("{value} is not a valid Count: expected a whole number from 0 to 2^53 - 1");
        count.map(Count).ok_or_else(|| InputValueError::custom(refused()))
    }

    fn to_value(&self) -> Value {
        Value::from(self.0.min(COUNT_END - 1))
    }
}

/// Any value.
#[derive(Clone, Debug, PartialEq)]
pub struct Json(pub serde_json::Value);

/// A scalar that can represent any JSON value.
#[Scalar(name = "JSON", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Json(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// The upload ID of a file part of a multipart request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadScalar(pub String);

/// File part of a GraphQL multipart request, assigned by the `map` of the request. The server stores the file and replaces
/// the variable by its upload ID. An upload ID that POST /uploads returned is also accepted.
#[Scalar(name = "Upload", specified_by_url = "https://github.com/jaydenseric/graphql-multipart-request-spec")]
impl ScalarType for UploadScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(id) => Ok(UploadScalar(id)),
            value => Err(InputValueError::custom(format!(
                "{value} is not a valid Upload: expected a file part of a multipart request, or an upload ID"
            ))),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
