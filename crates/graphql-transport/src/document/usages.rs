//! Types of variables, which must fit their places. The validator does not check those within lists and input objects, and
//! takes a default of null for a value.

use std::collections::HashSet;

use apollo_compiler::{
    Name, Node,
    ast::{Argument, DirectiveList, InputValueDefinition, Type, Value, VariableDefinition},
    executable::{ExecutableDocument, Operation, Selection, SelectionSet},
    schema::ExtendedType,
};
use async_graphql::ServerError;

use super::{
    literals, position, refused,
    types::{self, InputTypes},
};

/// Checks the variables of each operation, in the fragments that it spreads too.
pub fn check(types: &InputTypes, document: &ExecutableDocument, max_errors: usize) -> Result<(), Vec<ServerError>> {
    let mut errors = Vec::new();
    for operation in document.operations.iter() {
        let mut check =
            UsageCheck { types, document, operation, visited: HashSet::new(), max_errors, errors: &mut errors };
        check.directives(&operation.directives);
        check.set(&operation.selection_set);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Replacement of a variable without a value, if null is not allowed.
#[derive(Clone, Copy)]
enum Defaults {
    /// Nothing: a field of a @oneOf object must be set.
    Ignored,
    /// The default of the variable.
    OfVariable,
    /// The default of the argument or field.
    OfPlace,
}

impl Defaults {
    fn of(place: &InputValueDefinition) -> Self {
        if place.default_value.is_some() { Self::OfPlace } else { Self::OfVariable }
    }
}

struct UsageCheck<'a> {
    types: &'a InputTypes,
    document: &'a ExecutableDocument,
    operation: &'a Operation,
    visited: HashSet<&'a Name>,
    max_errors: usize,
    errors: &'a mut Vec<ServerError>,
}

impl<'a> UsageCheck<'a> {
    fn set(&mut self, set: &'a SelectionSet) {
        for selection in &set.selections {
            self.directives(selection.directives());
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.arguments, &field.definition.arguments);
                    self.set(&field.selection_set);
                }
                Selection::InlineFragment(inline) => self.set(&inline.selection_set),
                Selection::FragmentSpread(spread) if self.visited.insert(&spread.fragment_name) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.fragment_name) {
                        self.directives(&fragment.directives);
                        self.set(&fragment.selection_set);
                    }
                }
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        for directive in directives {
            if let Some(definition) = self.types.schema.directive_definitions.get(&directive.name) {
                self.arguments(&directive.arguments, &definition.arguments);
            }
        }
    }

    fn arguments(&mut self, arguments: &[Node<Argument>], definitions: &[Node<InputValueDefinition>]) {
        for argument in arguments {
            if let Some(definition) = literals::definition(definitions, argument) {
                self.value(&argument.value, &definition.ty, Defaults::of(definition));
            }
        }
    }

    fn value(&mut self, value: &Node<Value>, ty: &Type, defaults: Defaults) {
        match (value.as_ref(), ty) {
            (Value::Variable(name), _) => self.usage(value, name, ty, defaults),
            (Value::List(items), Type::List(item) | Type::NonNullList(item)) => {
                items.iter().for_each(|value| self.value(value, item, Defaults::OfVariable));
            }
            (Value::Object(fields), _) => self.object(fields, ty),
            _ => {}
        }
    }

    fn object(&mut self, fields: &[(Name, Node<Value>)], ty: &Type) {
        let Some(ExtendedType::InputObject(object)) = self.types.named(ty.inner_named_type()) else { return };
        for (name, value) in fields {
            if let Some(definition) = object.fields.get(name) {
                let ty = definition.ty.as_ref();
                match types::is_one_of(object) {
                    true => self.value(value, &ty.clone().non_null(), Defaults::Ignored),
                    false => self.value(value, ty, Defaults::of(definition)),
                }
            }
        }
    }

    fn usage(&mut self, value: &Node<Value>, name: &Name, place: &Type, defaults: Defaults) {
        let Some(variable) = self.operation.variables.iter().find(|variable| variable.name == *name) else { return };
        if !fits(variable, place, defaults) && self.errors.len() < self.max_errors {
            let given = &variable.ty;
            let text = match defaults {
                Defaults::Ignored => {
                    format!(
                        "Variable \"${name}\" of type \"{given}\" must be of type \"{place}\" in a @oneOf input object."
                    )
                }
                _ => format!("Variable \"${name}\" of type \"{given}\" used in position expecting type \"{place}\"."),
            };
            let locations = position(value.location(), &self.document.sources).into_iter().collect();
            self.errors.push(ServerError { locations, ..refused(text) });
        }
    }
}

/// IsVariableUsageAllowed of the specification.
fn fits(variable: &VariableDefinition, place: &Type, defaults: Defaults) -> bool {
    let given = &variable.ty;
    if !place.is_non_null() || given.is_non_null() {
        return given.is_assignable_to(place);
    }
    let never_null = match defaults {
        Defaults::Ignored => false,
        Defaults::OfVariable => variable.default_value.as_ref().is_some_and(|value| !value.is_null()),
        Defaults::OfPlace => true,
    };
    never_null && given.is_assignable_to(&place.clone().nullable())
}
