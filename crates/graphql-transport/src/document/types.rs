//! The schema, with what the validator does not know of it: custom scalars and input objects of one field.

use std::collections::HashMap;

use apollo_compiler::{
    Schema,
    schema::{ExtendedType, InputObjectType},
    validation::Valid,
};
use async_graphql::Value;

/// Checks a value of a custom scalar. An error says what is wrong with it.
pub type ScalarCheck = fn(&Value) -> Result<(), String>;

/// A field of introspection that the validator does not know.
const ONE_OF: &str = "extend type __Type { isOneOf: Boolean }";

/// The schema is invalid.
#[derive(Debug, thiserror::Error)]
#[error("the schema is invalid: {0}")]
pub struct InvalidSchema(String);

/// The schema, and the checks of its scalars.
pub struct InputTypes {
    /// The schema.
    pub schema: Valid<Schema>,
    scalars: HashMap<&'static str, ScalarCheck>,
}

impl InputTypes {
    /// Reads the schema, in the schema definition language.
    pub fn new(sdl: &str, scalars: HashMap<&'static str, ScalarCheck>) -> Result<Self, InvalidSchema> {
        let built = Schema::builder().parse(sdl, "schema").parse(ONE_OF, "introspection").build();
        let schema = built.and_then(Schema::validate).map_err(|invalid| InvalidSchema(invalid.errors.to_string()))?;
        Ok(Self { schema, scalars })
    }

    /// Returns the type with this name.
    pub fn named(&self, name: &str) -> Option<&ExtendedType> {
        self.schema.types.get(name)
    }

    /// Checks a value of a custom scalar.
    pub fn check_scalar(&self, name: &str, value: &Value) -> Result<(), String> {
        self.scalars.get(name).map_or(Ok(()), |check| check(value))
    }
}

/// Returns true if exactly one field of the input object is to be set.
pub fn is_one_of(object: &InputObjectType) -> bool {
    object.directives.has("oneOf")
}
