//! The document that the executor runs: the operation without fragments that are known to apply, without what is skipped, and
//! with equal keys merged. The executor would run a field that is selected twice twice.

use apollo_compiler::{
    Name as ParsedName, Node, Schema,
    ast::{Argument, Value as Literal},
    executable::{Field as ParsedField, SelectionSet as ParsedSet},
};
use async_graphql::{
    Name, Number, Pos, Positioned, Value as Constant, Variables,
    parser::types::{
        DocumentOperations, ExecutableDocument, Field, InlineFragment, OperationDefinition, Selection, SelectionSet,
        Type, TypeCondition, VariableDefinition,
    },
};
use async_graphql_value::Value;

use super::{
    Document, Selected,
    fields::{Collector, Fields, Part, TYPE_KEY},
};

/// Returns the document of the selected operation.
pub fn document(schema: &Schema, selected: &Selected, variables: &Variables) -> ExecutableDocument {
    let Selected { document, operation, conditions } = selected;
    let collector = Collector { schema, document: &document.parsed, conditions };
    let writer = Writer { collector, document, variables };
    let position = document.position(operation.location());
    let items = writer.set(&[&operation.selection_set], operation.object_type());
    let definition = OperationDefinition {
        ty: selected.kind(),
        variable_definitions: operation.variables.iter().filter_map(|variable| writer.variable(variable)).collect(),
        directives: Vec::new(),
        selection_set: Positioned::new(SelectionSet { items }, position),
    };
    let operations = DocumentOperations::Single(Positioned::new(definition, position));
    ExecutableDocument { operations, fragments: Default::default() }
}

struct Writer<'a> {
    collector: Collector<'a>,
    document: &'a Document,
    variables: &'a Variables,
}

impl<'a> Writer<'a> {
    fn variable(
        &self,
        variable: &Node<apollo_compiler::ast::VariableDefinition>,
    ) -> Option<Positioned<VariableDefinition>> {
        let position = self.document.position(variable.location());
        let definition = VariableDefinition {
            name: Positioned::new(name(&variable.name), position),
            var_type: Positioned::new(Type::new(&variable.ty.to_string())?, position),
            directives: Vec::new(),
            default_value: None,
        };
        Some(Positioned::new(definition, position))
    }

    /// Returns the selections of a type. On an object they are fields only.
    fn set(&self, sets: &[&'a ParsedSet], on: &str) -> Vec<Positioned<Selection>> {
        if self.collector.schema.get_object(on).is_some() {
            let fields = self.collector.fields(sets.iter().copied(), on);
            return fields.values().map(|fields| self.field(fields)).collect();
        }
        let (mut fields, mut fragments) = (Fields::default(), Vec::new());
        sets.iter().for_each(|set| self.split(set, on, &mut fields, &mut fragments));
        let fields = fields.values().map(|fields| self.field(fields));
        fields.chain(fragments.into_iter().filter_map(|(on, set)| self.fragment(on, set))).collect()
    }

    /// Separates the fields of an interface or union from the fragments on other types.
    fn split(
        &self,
        set: &'a ParsedSet,
        on: &str,
        fields: &mut Fields<'a>,
        fragments: &mut Vec<(&'a ParsedName, &'a ParsedSet)>,
    ) {
        for part in set.selections.iter().filter_map(|selection| self.collector.resolved(selection)) {
            match part {
                Part::Field(field) => fields.entry(field.response_key()).or_default().push(field),
                Part::Fragment { set, on: Some(other) } if other != on => {
                    fragments.extend(self.conditions(other).map(|on| (on, set)));
                }
                Part::Fragment { set, .. } => self.split(set, on, fields, fragments),
            }
        }
    }

    /// Returns the types to write for the condition of a fragment. The executor does not know that objects belong to a union, so
    /// these are its members.
    fn conditions(&self, on: &'a ParsedName) -> impl Iterator<Item = &'a ParsedName> {
        let union = self.collector.schema.get_union(on);
        let members = union.into_iter().flat_map(|union| union.members.iter().map(|member| &member.name));
        members.chain(union.is_none().then_some(on))
    }

    fn fragment(&self, on: &ParsedName, set: &'a ParsedSet) -> Option<Positioned<Selection>> {
        let items = self.set(&[set], on);
        let position = self.document.position(on.location());
        let condition = TypeCondition { on: Positioned::new(name(on), position) };
        let fragment = InlineFragment {
            type_condition: Some(Positioned::new(condition, position)),
            directives: Vec::new(),
            selection_set: Positioned::new(SelectionSet { items }, position),
        };
        let empty = fragment.selection_set.node.items.is_empty();
        (!empty).then(|| at(position, |position| Selection::InlineFragment(Positioned::new(fragment, position))))
    }

    /// Returns one field for those that share a key.
    fn field(&self, fields: &[&'a ParsedField]) -> Positioned<Selection> {
        let first = fields[0];
        let position = self.document.position(first.name.location());
        let arguments = first.arguments.iter().filter_map(|argument| self.argument(argument)).collect();
        let sets: Vec<_> = fields.iter().map(|field| &field.selection_set).collect();
        let items = self.below(&sets, first);
        let field = Field {
            alias: first.alias.as_ref().map(|alias| Positioned::new(name(alias), position)),
            name: Positioned::new(name(&first.name), position),
            arguments,
            directives: Vec::new(),
            selection_set: Positioned::new(SelectionSet { items }, position),
        };
        at(position, |position| Selection::Field(Positioned::new(field, position)))
    }

    /// Returns the selections below a field. Also selects the type of the object if its fields depend on it, and
    /// where all fields are skipped: the executor takes an object without fields for null.
    fn below(&self, sets: &[&'a ParsedSet], field: &ParsedField) -> Vec<Positioned<Selection>> {
        if sets.iter().all(|set| set.selections.is_empty()) {
            return Vec::new();
        }
        let on = field.ty().inner_named_type();
        let mut items = self.set(sets, on);
        let is_object = self.collector.schema.get_object(on).is_some();
        if items.is_empty() || (!is_object && !items.iter().any(is_type_name)) {
            items.push(type_name());
        }
        items
    }

    fn argument(&self, argument: &Node<Argument>) -> Option<(Positioned<Name>, Positioned<Value>)> {
        let value = self.value(&argument.value)?;
        let (key, position) =
            (self.document.position(argument.location()), self.document.position(argument.value.location()));
        Some((Positioned::new(name(&argument.name), key), Positioned::new(value, position)))
    }

    /// Returns a value. None if it is a variable that has no value.
    fn value(&self, literal: &Literal) -> Option<Value> {
        match literal {
            Literal::Variable(variable) => {
                self.variables.contains_key(variable.as_str()).then(|| Value::Variable(name(variable)))
            }
            Literal::List(items) => {
                Some(Value::List(items.iter().map(|item| self.value(item).unwrap_or(Value::Null)).collect()))
            }
            Literal::Object(fields) => {
                let field = |(key, value): &(ParsedName, Node<Literal>)| Some((name(key), self.value(value)?));
                Some(Value::Object(fields.iter().filter_map(field).collect()))
            }
            other => Some(constant(other)?.into_value()),
        }
    }
}

/// Returns a value without variables. None if it has one, or a number that does not exist.
pub fn constant(literal: &Literal) -> Option<Constant> {
    Some(match literal {
        Literal::Null => Constant::Null,
        Literal::Enum(value) => Constant::Enum(name(value)),
        Literal::Variable(_) => return None,
        Literal::String(text) => Constant::String(text.clone()),
        Literal::Boolean(value) => Constant::Boolean(*value),
        Literal::Int(number) => Constant::Number(whole(number.as_str())?),
        Literal::Float(number) => Constant::Number(Number::from_f64(number.as_str().parse().ok()?)?),
        Literal::List(items) => Constant::List(items.iter().map(|item| constant(item)).collect::<Option<_>>()?),
        Literal::Object(fields) => {
            let field = |(key, value): &(ParsedName, Node<Literal>)| Some((name(key), constant(value)?));
            Constant::Object(fields.iter().map(field).collect::<Option<_>>()?)
        }
    })
}

fn whole(text: &str) -> Option<Number> {
    let signed = text.parse::<i64>().map(Number::from);
    let whole = signed.or_else(|_| text.parse::<u64>().map(Number::from));
    whole.ok().or_else(|| Number::from_f64(text.parse().ok()?))
}

fn name(name: &ParsedName) -> Name {
    Name::new(name.as_str())
}

fn at<T>(position: Pos, node: impl FnOnce(Pos) -> T) -> Positioned<T> {
    Positioned::new(node(position), position)
}

fn is_type_name(item: &Positioned<Selection>) -> bool {
    matches!(&item.node, Selection::Field(field) if field.node.name.node == "__typename" && field.node.alias.is_none())
}

fn type_name() -> Positioned<Selection> {
    let position = Pos::default();
    let field = Field {
        alias: Some(Positioned::new(Name::new(TYPE_KEY), position)),
        name: Positioned::new(Name::new("__typename"), position),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::default(),
    };
    at(position, |position| Selection::Field(Positioned::new(field, position)))
}
