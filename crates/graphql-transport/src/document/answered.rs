//! The response of an operation as the specification says, made of what the executor returns. The executor leaves out a field
//! that failed, returns null for an object all of whose fields failed, and keeps the order in which fields were resolved.

use std::{cell::RefCell, collections::HashSet, fmt::Write, mem, rc::Rc};

use apollo_compiler::{
    Name as ParsedName, Schema,
    ast::Type,
    executable::{Field, SelectionSet},
};
use async_graphql::{Name, PathSegment, Response, ServerError, Value, indexmap::IndexMap};

use super::{
    Selected,
    fields::{Collector, TYPE_KEY},
};
use crate::codes;

/// Completes a response. A response without data stays as it is: nothing was executed.
pub fn complete(schema: &Schema, selected: &Selected, mut response: Response) -> Response {
    let nothing_ran = response.errors.iter().any(|error| error.path.is_empty());
    let root = match mem::take(&mut response.data) {
        Value::Object(root) => root,
        Value::Null if !nothing_ran => IndexMap::new(),
        other => {
            response.data = other;
            return response;
        }
    };
    let Selected { document, operation, conditions } = selected;
    let collector = Collector { schema, document: &document.parsed, conditions };
    let failures = Failures::of(&response.errors);
    let mut completion = Completion { collector, failures, path: Vec::new(), errors: Vec::new() };
    let fields = completion.fields([&operation.selection_set], operation.object_type());
    response.data = completion.object(&fields, root).map_or(Value::Null, Value::Object);
    response.errors.extend(completion.errors);
    response
}

/// The fields of an object, in the order of the query.
type Group<'a> = Vec<Answered<'a>>;

/// The fields that share a key.
struct Answered<'a> {
    key: &'a ParsedName,
    field: &'a Field,
    /// Their selections, if it is not a leaf.
    sets: Vec<&'a SelectionSet>,
    /// The fields below, by the types of objects seen so far.
    below: RefCell<Vec<(&'a ParsedName, Rc<Group<'a>>)>>,
}

/// A step of the path to a value.
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

struct Completion<'a> {
    collector: Collector<'a>,
    failures: Failures,
    path: Vec<Step<'a>>,
    errors: Vec<ServerError>,
}

impl<'a> Completion<'a> {
    fn fields(&self, sets: impl IntoIterator<Item = &'a SelectionSet>, object: &str) -> Group<'a> {
        let answered = |(key, fields): (&'a ParsedName, Vec<&'a Field>)| Answered {
            key,
            field: fields[0],
            sets: fields.iter().map(|field| &field.selection_set).filter(|set| !set.selections.is_empty()).collect(),
            below: RefCell::default(),
        };
        self.collector.fields(sets, object).into_iter().map(answered).collect()
    }

    /// Completes an object. None if a field that may not be null is.
    fn object(&mut self, group: &Group<'a>, map: IndexMap<Name, Value>) -> Option<IndexMap<Name, Value>> {
        let mut map = ordered(group, map);
        for (answered, slot) in group.iter().zip(map.values_mut()) {
            self.path.push(Step::Key(answered.key));
            let value = self.value(answered, answered.field.ty(), mem::take(slot));
            self.path.pop();
            *slot = value?;
        }
        Some(map)
    }

    /// Completes a value. None if it is null and may not be.
    fn value(&mut self, at: &Answered<'a>, ty: &Type, value: Value) -> Option<Value> {
        let value = match ty {
            Type::List(item) | Type::NonNullList(item) => self.list(at, item, value),
            Type::Named(_) | Type::NonNullNamed(_) if at.sets.is_empty() => value,
            Type::Named(name) | Type::NonNullNamed(name) => self.composite(at, name, value),
        };
        if value != Value::Null || !ty.is_non_null() {
            return Some(value);
        }
        self.explain(at);
        None
    }

    fn list(&mut self, at: &Answered<'a>, item: &Type, value: Value) -> Value {
        let Value::List(mut items) = value else { return value };
        for (index, slot) in items.iter_mut().enumerate() {
            self.path.push(Step::Index(index));
            let value = self.value(at, item, mem::take(slot));
            self.path.pop();
            match value {
                Some(value) => *slot = value,
                None => return Value::Null,
            }
        }
        Value::List(items)
    }

    fn composite(&mut self, at: &Answered<'a>, ty: &str, value: Value) -> Value {
        let map = match value {
            Value::Object(map) => map,
            // All of its fields failed.
            Value::Null if self.failures.below(&self.path) => IndexMap::new(),
            other => return other,
        };
        let Some(object) = self.type_of(ty, &map) else { return Value::Null };
        let group = self.below(at, object);
        self.object(&group, map).map_or(Value::Null, Value::Object)
    }

    /// Returns the type of an object: its only one, or the one that it names.
    fn type_of(&self, ty: &str, map: &IndexMap<Name, Value>) -> Option<&'a ParsedName> {
        let types = &self.collector.schema.types;
        if let Some((name, known)) = types.get_key_value(ty)
            && known.is_object()
        {
            return Some(name);
        }
        match map.get(TYPE_KEY).or_else(|| map.get("__typename"))? {
            Value::String(name) => types.get_key_value(name.as_str()).map(|(name, _)| name),
            _ => None,
        }
    }

    fn below(&self, at: &Answered<'a>, object: &'a ParsedName) -> Rc<Group<'a>> {
        let mut known = at.below.borrow_mut();
        if let Some((_, group)) = known.iter().find(|(name, _)| *name == object) {
            return Rc::clone(group);
        }
        let group = Rc::new(self.fields(at.sets.iter().copied(), object));
        known.push((object, Rc::clone(&group)));
        group
    }

    /// Adds an error for a null that has none.
    fn explain(&mut self, at: &Answered<'a>) {
        if self.failures.at_or_below(&self.path) {
            return;
        }
        let path = self.path.iter().map(|step| match step {
            Step::Key(key) => PathSegment::Field((*key).to_owned()),
            Step::Index(index) => PathSegment::Index(*index),
        });
        let path = path.collect();
        let cause = format!("the field {} of type {} is null", at.field.name, at.field.ty());
        self.errors.push(ServerError { path, ..codes::internal(&cause) });
    }
}

/// Returns the fields of an object in the order of the query. Those that are missing are null, others are removed.
fn ordered(group: &Group<'_>, mut map: IndexMap<Name, Value>) -> IndexMap<Name, Value> {
    if map.last().is_some_and(|(key, _)| *key == TYPE_KEY) {
        map.pop();
    }
    if map.len() == group.len() && map.keys().zip(group).all(|(key, answered)| key.as_str() == answered.key.as_str()) {
        return map;
    }
    let field = |answered: &Answered<'_>| match map.swap_remove_entry(answered.key.as_str()) {
        Some(entry) => entry,
        None => (Name::new(answered.key.as_str()), Value::Null),
    };
    group.iter().map(field).collect()
}

/// The places of errors.
struct Failures {
    /// Path of an error, and everything above it.
    at_or_above: HashSet<String>,
    /// Everything above an error.
    above: HashSet<String>,
}

impl Failures {
    fn of(errors: &[ServerError]) -> Self {
        let mut failures = Self { at_or_above: HashSet::new(), above: HashSet::new() };
        for error in errors {
            let mut place = String::new();
            for segment in &error.path {
                failures.at_or_above.insert(place.clone());
                failures.above.insert(place.clone());
                match segment {
                    PathSegment::Field(key) => step(&mut place, &Step::Key(key)),
                    PathSegment::Index(index) => step(&mut place, &Step::Index(*index)),
                }
            }
            failures.at_or_above.insert(place);
        }
        failures
    }

    /// Returns true if there is an error at this place or below.
    fn at_or_below(&self, path: &[Step<'_>]) -> bool {
        !self.at_or_above.is_empty() && self.at_or_above.contains(&place(path))
    }

    /// Returns true if there is an error below this place.
    fn below(&self, path: &[Step<'_>]) -> bool {
        !self.above.is_empty() && self.above.contains(&place(path))
    }
}

fn place(path: &[Step<'_>]) -> String {
    path.iter().fold(String::new(), |mut place, next| {
        step(&mut place, next);
        place
    })
}

fn step(place: &mut String, step: &Step<'_>) {
    let _ = match step {
        Step::Key(key) => write!(place, "/{key}"),
        Step::Index(index) => write!(place, "/{index}"),
    };
}
