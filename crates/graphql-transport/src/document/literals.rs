//! Rules for values in documents that the validator does not check: equal fields of an input object, input objects of exactly one
//! field, values of custom scalars, and the length of lists.

use std::collections::HashSet;

use apollo_compiler::{
    Name, Node,
    ast::{Argument, InputValueDefinition, Type, Value},
    executable::{ExecutableDocument, Field, Selection, SelectionSet},
    parser::SourceMap,
    schema::{ExtendedType, InputObjectType},
};
use async_graphql::ServerError;

use super::{
    Limits, executed,
    fields::TYPE_KEY,
    position, refused,
    types::{self, InputTypes},
};

/// Checks the values of a document.
pub fn check(types: &InputTypes, document: &ExecutableDocument, limits: Limits) -> Result<(), Vec<ServerError>> {
    let mut check = LiteralCheck { types, sources: &document.sources, limits, errors: Vec::new() };
    for operation in document.operations.iter() {
        for variable in &operation.variables {
            if let Some(value) = &variable.default_value {
                check.value(value, &variable.ty);
            }
        }
        check.set(&operation.selection_set);
    }
    for fragment in document.fragments.values() {
        check.set(&fragment.selection_set);
    }
    if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
}

struct LiteralCheck<'a> {
    types: &'a InputTypes,
    sources: &'a SourceMap,
    limits: Limits,
    errors: Vec<ServerError>,
}

impl LiteralCheck<'_> {
    fn set(&mut self, set: &SelectionSet) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => self.field(field),
                Selection::InlineFragment(inline) => self.set(&inline.selection_set),
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn field(&mut self, field: &Field) {
        if field.alias.as_ref().is_some_and(|alias| alias == TYPE_KEY) {
            self.errors.push(refused(format!("The alias \"{TYPE_KEY}\" is reserved.")));
        }
        for argument in &field.arguments {
            if let Some(definition) = definition(&field.definition.arguments, argument) {
                self.value(&argument.value, &definition.ty);
            }
        }
        self.set(&field.selection_set);
    }

    fn value(&mut self, value: &Node<Value>, ty: &Type) {
        match (value.as_ref(), ty) {
            (Value::Null | Value::Variable(_), _) => {}
            (Value::List(items), Type::List(item) | Type::NonNullList(item)) => {
                if items.len() > self.limits.list_items {
                    let most = self.limits.list_items;
                    let text = format!("A list has {} items; at most {most} are allowed.", items.len());
                    return self.refuse(value, text);
                }
                items.iter().for_each(|value| self.value(value, item));
            }
            (_, Type::List(item) | Type::NonNullList(item)) => self.value(value, item),
            (_, Type::Named(name) | Type::NonNullNamed(name)) => self.named(value, name),
        }
    }

    fn named(&mut self, value: &Node<Value>, name: &Name) {
        match (self.types.named(name), value.as_ref()) {
            (Some(ExtendedType::InputObject(object)), Value::Object(fields)) => self.object(value, object, fields),
            (Some(ExtendedType::Scalar(scalar)), _) if !scalar.is_built_in() => {
                // A value with variables is checked when it is executed.
                let Some(constant) = executed::constant(value) else { return };
                if let Err(cause) = self.types.check_scalar(name, &constant) {
                    self.refuse(value, format!("{cause}."));
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, value: &Node<Value>, object: &InputObjectType, fields: &[(Name, Node<Value>)]) {
        let mut seen = HashSet::new();
        for (name, field) in fields {
            if !seen.insert(name) {
                self.refuse(field, format!("There can be only one input field named \"{name}\"."));
            }
            if let Some(definition) = object.fields.get(name) {
                self.value(field, &definition.ty);
            }
        }
        if types::is_one_of(object) && !matches!(fields, [(_, field)] if !field.is_null()) {
            self.refuse(value, format!("Exactly one field of \"{}\" must be set, and not to null.", object.name));
        }
    }

    fn refuse(&mut self, value: &Node<Value>, text: String) {
        if self.errors.len() < self.limits.errors {
            let locations = position(value.location(), self.sources).into_iter().collect();
            self.errors.push(ServerError { locations, ..refused(text) });
        }
    }
}

/// Returns the definition of an argument.
pub fn definition<'a>(
    definitions: &'a [Node<InputValueDefinition>],
    argument: &Argument,
) -> Option<&'a Node<InputValueDefinition>> {
    definitions.iter().find(|definition| definition.name == argument.name)
}
