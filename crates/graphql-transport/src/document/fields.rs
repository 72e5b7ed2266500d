//! Fields of selection sets, collected as the specification says: fragments expanded, skipped ones left out, equal keys merged.

use apollo_compiler::{
    Name, Schema,
    ast::{DirectiveList, Value},
    collections::{HashMap, IndexMap},
    executable::{ExecutableDocument, Field, Operation, Selection, SelectionSet},
};
use async_graphql::{Value as Input, Variables};

/// The key under which the type of an object is selected, beside the selections of the client.
pub const TYPE_KEY: &str = "__concreteType";

/// The variables that decide which selections are included.
pub struct Conditions(HashMap<Name, bool>);

impl Conditions {
    /// Reads the Boolean variables of an operation.
    pub fn of(operation: &Operation, variables: &Variables) -> Self {
        let value = |name: &Name| match variables.get(name.as_str()) {
            Some(Input::Boolean(value)) => Some((name.clone(), *value)),
            _ => None,
        };
        Self(operation.variables.iter().filter_map(|definition| value(&definition.name)).collect())
    }

    /// Returns true if the directives include their selection.
    pub fn include(&self, directives: &DirectiveList) -> bool {
        let applies = |name: &str| match directives.get(name)?.specified_argument_by_name("if")?.as_ref() {
            Value::Boolean(value) => Some(*value),
            Value::Variable(variable) => self.0.get(variable).copied(),
            _ => None,
        };
        applies("skip") != Some(true) && applies("include") != Some(false)
    }
}

/// Inputs on which the fields of selection sets depend.
#[derive(Clone, Copy)]
pub struct Collector<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// The document, for its fragments.
    pub document: &'a ExecutableDocument,
    /// Decides what is skipped.
    pub conditions: &'a Conditions,
}

/// Fields by their keys, in the order of the query. Those of one key are merged.
pub type Fields<'a> = IndexMap<&'a Name, Vec<&'a Field>>;

impl<'a> Collector<'a> {
    /// Returns the fields that the sets select on an object of this type.
    pub fn fields(&self, sets: impl IntoIterator<Item = &'a SelectionSet>, object: &str) -> Fields<'a> {
        let mut fields = Fields::default();
        for set in sets {
            self.add(set, object, &mut fields);
        }
        fields
    }

    fn add(&self, set: &'a SelectionSet, object: &str, fields: &mut Fields<'a>) {
        for selection in &set.selections {
            match self.resolved(selection) {
                None => {}
                Some(Part::Field(field)) => fields.entry(field.response_key()).or_default().push(field),
                Some(Part::Fragment { set, on }) if on.is_none_or(|on| self.applies(on, object)) => {
                    self.add(set, object, fields);
                }
                Some(Part::Fragment { .. }) => {}
            }
        }
    }

    /// Returns the fields of a selection. None if it is skipped.
    pub fn resolved(&self, selection: &'a Selection) -> Option<Part<'a>> {
        if !self.conditions.include(selection.directives()) {
            return None;
        }
        match selection {
            Selection::Field(field) => Some(Part::Field(field)),
            Selection::InlineFragment(inline) => {
                Some(Part::Fragment { set: &inline.selection_set, on: inline.type_condition.as_ref() })
            }
            Selection::FragmentSpread(spread) => {
                let fragment = self.document.fragments.get(&spread.fragment_name)?;
                Some(Part::Fragment { set: &fragment.selection_set, on: Some(fragment.type_condition()) })
            }
        }
    }

    fn applies(&self, condition: &Name, object: &str) -> bool {
        condition.as_str() == object || self.schema.is_subtype(condition, object)
    }
}

/// A selection.
pub enum Part<'a> {
    /// A field.
    Field(&'a Field),
    /// An inline fragment, or a fragment that is spread.
    Fragment {
        /// Its selections.
        set: &'a SelectionSet,
        /// The types that it applies to. None: all.
        on: Option<&'a Name>,
    },
}
