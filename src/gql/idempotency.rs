//! Idempotency keys. A key belongs to one kind of task and to one input, exactly as the client sent it.

use async_graphql::Context;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::{self, Result};
use crate::files::hex;
use crate::task::IdempotencyKey;

/// Returns the arguments of the current field, as the client sent them. Defaults are not filled in, so that they may change
/// between versions.
///
/// # Errors
/// INTERNAL if an argument cannot be written as JSON.
pub fn input(ctx: &Context<'_>) -> Result<Value> {
    let mut input = Map::new();
    for (name, value) in ctx.field().arguments()? {
        input.insert(name.to_string(), value.into_json().map_err(error::internal)?);
    }
    Ok(Value::Object(input))
}

/// Combines `key` with the input of the current field. None if the client sent no key.
///
/// # Errors
/// As [`input`].
pub fn key(ctx: &Context<'_>, key: Option<String>) -> Result<Option<IdempotencyKey>> {
    key.map(|text| Ok(key_for(text, &input(ctx)?))).transpose()
}

/// Combines the key `text` with `input`. The order of an object's fields makes no difference.
pub fn key_for(text: String, input: &Value) -> IdempotencyKey {
    // serde_json keeps objects sorted by their keys.
    let digest = Sha256::digest(input.to_string());
    IdempotencyKey { text, input_sha256: Some(hex(&digest)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_fields_does_not_matter_and_every_value_does() {
        let of = |input: &str| key_for("key".to_owned(), &serde_json::from_str(input).unwrap());
        let first = of(r#"{"a": 1, "b": {"c": [1, 2], "d": "x"}}"#);
        assert_eq!(of(r#"{"b": {"d": "x", "c": [1, 2]}, "a": 1}"#), first);
        for other in [json!({"a": 1}), json!({"a": 1, "b": {"c": [2, 1], "d": "x"}}), json!({"a": 1, "b": null})] {
            assert_ne!(key_for("key".to_owned(), &other), first);
        }
    }
}
