//! Values of variables, coerced to their types as the specification says.

use apollo_compiler::{
    Name, Node,
    ast::{Type, VariableDefinition},
    executable::Operation,
    schema::{EnumType, ExtendedType, InputObjectType},
};
use async_graphql::{Number, ServerError, Value, Variables, indexmap::IndexMap};

use super::{
    Document, Limits, executed, refused_at,
    types::{self, InputTypes},
};

/// A value that does not fit: the steps to it, innermost first, and the reason.
struct Misfit {
    path: Vec<String>,
    reason: String,
}

type Coerced = Result<Value, Misfit>;

/// Returns the values of the variables of an operation. Variables that it does not define are dropped.
pub fn variables(
    types: &InputTypes,
    document: &Document,
    operation: &Operation,
    mut given: Variables,
    limits: Limits,
) -> Result<Variables, Vec<ServerError>> {
    let coercion = Coercion { types, max_items: limits.list_items };
    let (mut variables, mut errors) = (Variables::default(), Vec::new());
    for definition in &operation.variables {
        match coercion.variable(definition, given.remove(definition.name.as_str())) {
            Ok(None) => {}
            Ok(Some(value)) => drop(variables.insert(async_graphql::Name::new(definition.name.as_str()), value)),
            Err(text) => errors.push(refused_at(text, document.position(definition.location()))),
        }
    }
    if errors.is_empty() { Ok(variables) } else { Err(errors.into_iter().take(limits.errors).collect()) }
}

struct Coercion<'a> {
    types: &'a InputTypes,
    max_items: usize,
}

impl Coercion<'_> {
    /// Returns the value of a variable, or None if it has none.
    fn variable(&self, definition: &Node<VariableDefinition>, given: Option<Value>) -> Result<Option<Value>, String> {
        let VariableDefinition { name, ty, default_value, .. } = &**definition;
        match given {
            None if default_value.is_some() => Ok(default_value.as_ref().and_then(|value| executed::constant(value))),
            None if ty.is_non_null() => {
                Err(format!("Variable \"${name}\" of required type \"{ty}\" was not provided."))
            }
            None => Ok(None),
            Some(Value::Null) if ty.is_non_null() => {
                Err(format!("Variable \"${name}\" of non-null type \"{ty}\" must not be null."))
            }
            Some(value) => self.value(value, ty).map(Some).map_err(|misfit| misfit.text(name)),
        }
    }

    fn value(&self, value: Value, ty: &Type) -> Coerced {
        match (value, ty) {
            (Value::Null, Type::NonNullNamed(_) | Type::NonNullList(_)) => {
                Err(misfit(format!("Expected non-nullable type \"{ty}\" not to be null")))
            }
            (Value::Null, _) => Ok(Value::Null),
            (Value::List(items), Type::List(item) | Type::NonNullList(item)) => self.list(items, item),
            (value, Type::List(item) | Type::NonNullList(item)) => Ok(Value::List(vec![self.value(value, item)?])),
            (value, Type::Named(name) | Type::NonNullNamed(name)) => self.named(value, name),
        }
    }

    fn list(&self, items: Vec<Value>, item: &Type) -> Coerced {
        if items.len() > self.max_items {
            return Err(misfit(format!("A list has {} items; at most {} are allowed", items.len(), self.max_items)));
        }
        let items = items.into_iter().enumerate();
        let items =
            items.map(|(index, value)| self.value(value, item).map_err(|misfit| misfit.under(index.to_string())));
        items.collect::<Result<_, _>>().map(Value::List)
    }

    fn named(&self, value: Value, name: &Name) -> Coerced {
        match self.types.named(name) {
            Some(ExtendedType::InputObject(object)) => self.object(value, object),
            Some(ExtendedType::Enum(kind)) => member(value, kind),
            _ => self.scalar(value, name),
        }
    }

    fn scalar(&self, value: Value, name: &Name) -> Coerced {
        match (name.as_str(), value) {
            ("Int", Value::Number(number)) => int(&number),
            ("ID", Value::Number(number)) => id(&number),
            ("Float", value @ Value::Number(_))
            | ("String" | "ID", value @ Value::String(_))
            | ("Boolean", value @ Value::Boolean(_)) => Ok(value),
            ("Int" | "Float" | "String" | "ID" | "Boolean", value) => {
                Err(misfit(format!("{name} cannot represent {}", kind_of(&value))))
            }
            (_, value) => match self.types.check_scalar(name, &value) {
                Ok(()) => Ok(value),
                Err(cause) => Err(misfit(cause)),
            },
        }
    }

    fn object(&self, value: Value, object: &InputObjectType) -> Coerced {
        let name = &object.name;
        let Value::Object(mut given) = value else {
            return Err(misfit(format!("Expected type \"{name}\" to be an object, not {}", kind_of(&value))));
        };
        if let Some(unknown) = given.keys().find(|key| !object.fields.contains_key(key.as_str())) {
            return Err(misfit(format!("Field \"{unknown}\" is not defined by type \"{name}\"")));
        }
        if types::is_one_of(object) && (given.len() != 1 || given.values().any(|value| *value == Value::Null)) {
            return Err(misfit(format!("Exactly one field of \"{name}\" must be set, and not to null")));
        }
        let mut fields = IndexMap::new();
        for (key, definition) in &object.fields {
            match given.swap_remove(key.as_str()) {
                Some(value) => {
                    let value = self.value(value, &definition.ty).map_err(|misfit| misfit.under(key.to_string()))?;
                    fields.insert(async_graphql::Name::new(key.as_str()), value);
                }
                None if definition.is_required() => {
                    let ty = &definition.ty;
                    return Err(misfit(format!("Field \"{key}\" of required type \"{ty}\" was not provided")));
                }
                None => {}
            }
        }
        Ok(Value::Object(fields))
    }
}

impl Misfit {
    fn under(mut self, step: String) -> Self {
        self.path.push(step);
        self
    }

    fn text(&self, variable: &Name) -> String {
        let mut text = format!("Variable \"${variable}\" got an invalid value");
        if !self.path.is_empty() {
            let path: Vec<_> = self.path.iter().rev().map(String::as_str).collect();
            text += &format!(" at \"{variable}.{}\"", path.join("."));
        }
        format!("{text}: {}.", self.reason)
    }
}

fn misfit(reason: String) -> Misfit {
    Misfit { path: Vec::new(), reason }
}

/// A whole number of 32 bits. A number with a fraction of zero is one.
fn int(number: &Number) -> Coerced {
    let whole = whole(number).ok_or_else(|| misfit(format!("Int cannot represent non-integer value: {number}")))?;
    let whole = i32::try_from(whole);
    let whole = whole.map_err(|_| misfit(format!("Int cannot represent non 32-bit signed integer value: {number}")))?;
    Ok(Value::from(whole))
}

fn id(number: &Number) -> Coerced {
    let whole = whole(number).ok_or_else(|| misfit(format!("ID cannot represent value: {number}")))?;
    Ok(Value::String(whole.to_string()))
}

fn whole(number: &Number) -> Option<i128> {
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    whole.or_else(|| number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i128))
}

fn member(value: Value, kind: &EnumType) -> Coerced {
    let name = &kind.name;
    match &value {
        Value::String(text) if kind.values.contains_key(text.as_str()) => Ok(value),
        Value::String(text) => Err(misfit(format!("Value \"{text}\" does not exist in \"{name}\" enum"))),
        other => Err(misfit(format!("Enum \"{name}\" cannot represent {}", kind_of(other)))),
    }
}

/// Returns the kind of a value, for an error.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Boolean(_) => "a boolean",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
        Value::Binary(_) | Value::Enum(_) => "such a value",
    }
}
