//! Generated requests for any schema. Each has at most one fault, of a chosen kind.

use std::collections::{BTreeMap, BTreeSet};

use apollo_compiler::{
    Name, Node, Schema,
    ast::{InputValueDefinition, OperationType},
    schema::ExtendedType,
};
use serde_json::Value;

use super::graphql_js::Request;
use super::random::{Fault, Random};

/// Maximum depth of selections.
const DEPTH: usize = 4;

/// A variable of an operation.
pub struct Variable {
    /// Its definition, such as `$v1: Int = 1`.
    pub definition: String,
    /// True if the definition is left out.
    pub hidden: bool,
}

/// Generates one request.
pub struct Generator<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// Decides everything.
    pub random: Random,
    /// Place of the fault.
    pub fault: Fault,
    /// Variables of the operation.
    pub variables: Vec<Variable>,
    /// Values of the variables of all operations.
    pub values: serde_json::Map<String, Value>,
    fragments: Vec<(String, Name)>,
    definitions: Vec<String>,
    possible: &'a PossibleTypes,
    names: usize,
}

/// The object types of each object, interface and union.
pub type PossibleTypes = BTreeMap<Name, BTreeSet<Name>>;

/// Returns the object types of each object, interface and union.
pub fn possible_types(schema: &Schema) -> PossibleTypes {
    let implementers = schema.implementers_map();
    let mut possible = BTreeMap::new();
    for (name, ty) in &schema.types {
        let objects = match ty {
            ExtendedType::Object(_) => BTreeSet::from([name.clone()]),
            ExtendedType::Union(union) => union.members.iter().map(|member| member.name.clone()).collect(),
            ExtendedType::Interface(_) => {
                implementers.get(name).map(|known| known.objects.iter().cloned().collect()).unwrap_or_default()
            }
            _ => continue,
        };
        possible.insert(name.clone(), objects);
    }
    possible
}

impl<'a> Generator<'a> {
    /// Creates the generator of the request with this seed.
    pub fn new((schema, possible): (&'a Schema, &'a PossibleTypes), seed: u64, fault: Fault) -> Self {
        Self {
            schema,
            random: Random::new(seed),
            fault,
            variables: Vec::new(),
            values: serde_json::Map::new(),
            fragments: Vec::new(),
            definitions: Vec::new(),
            possible,
            names: 0,
        }
    }

    /// Returns a new name that begins so.
    pub fn name(&mut self, start: &str) -> String {
        self.names += 1;
        format!("{start}{}", self.names)
    }

    /// Generates the request, with operations of these types.
    pub fn request(&mut self, kinds: &[OperationType]) -> Request {
        let count = if self.random.percent(15) { 2 } else { 1 };
        let names: Vec<_> = (0..count).map(|_| self.operation(kinds, count > 1)).collect();
        if self.fault.here("operation: unnamed beside others") {
            self.definitions.push("{ __typename }".to_owned());
        }
        let chosen = names[self.random.below(names.len())].clone();
        let named = count > 1 || self.random.percent(30);
        let operation_name = match self.fault.here("operation: unknown name") {
            true => Some("Unknown".to_owned()),
            false => chosen.filter(|_| named),
        };
        let at = self.random.below(self.definitions.len());
        self.definitions.rotate_left(at);
        let variables = Value::Object(std::mem::take(&mut self.values));
        Request { query: std::mem::take(&mut self.definitions).join("\n"), operation_name, variables }
    }

    /// Adds an operation and returns its name.
    fn operation(&mut self, kinds: &[OperationType], must_be_named: bool) -> Option<String> {
        let kind = *self.random.one(kinds);
        let root = self.schema.root_operation(kind).expect("a root").clone();
        let selections = match kind {
            OperationType::Subscription => self.single(&root),
            _ => self.selections(&root, DEPTH),
        };
        let unnamed = self.random.percent(50) && !must_be_named;
        let name = if unnamed { String::new() } else { self.name("Q") };
        if self.fault.here("operation: the name of another") {
            let name = if name.is_empty() { "Q0" } else { &name };
            self.definitions.push(format!("query {name} {{ __typename }}"));
        }
        let directives = self.misplaced("@skip(if: true)");
        let variables = self.definitions_of_variables();
        let short = kind == OperationType::Query && name.is_empty() && variables.is_empty() && directives.is_empty();
        let head = if short && self.random.percent(50) { String::new() } else { format!("{kind} {name}") };
        self.definitions.push(format!("{head}{variables}{directives} {selections}"));
        self.fragments.clear();
        (!name.is_empty()).then_some(name)
    }

    fn definitions_of_variables(&mut self) -> String {
        if self.fault.here("variable: not used") {
            self.variables.push(Variable { definition: "$unused: Int".to_owned(), hidden: false });
        }
        let shown = std::mem::take(&mut self.variables).into_iter().filter(|variable| !variable.hidden);
        let mut shown: Vec<_> = shown.map(|variable| variable.definition).collect();
        if let Some(first) = shown.first().cloned()
            && self.fault.here("variable: defined twice")
        {
            shown.push(first);
        }
        if shown.is_empty() { String::new() } else { format!("({})", shown.join(", ")) }
    }

    /// Returns selections of one field, as a subscription has.
    fn single(&mut self, root: &Name) -> String {
        let name = self.field_names(root);
        let name = self.random.one(&name).clone();
        let field = self.field(root, &name, DEPTH);
        match self.random.below(10) {
            0 => format!("{{ ... on {root} {{ {field} }} }}"),
            1 => format!("{{ {field} {field} }}"),
            _ => format!("{{ {field} }}"),
        }
    }

    fn field_names(&self, on: &Name) -> Vec<Name> {
        match self.schema.types.get(on) {
            Some(ExtendedType::Object(object)) => object.fields.keys().cloned().collect(),
            Some(ExtendedType::Interface(interface)) => interface.fields.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the selections of a type, in braces.
    fn selections(&mut self, on: &Name, depth: usize) -> String {
        if self.fault.here("field: empty selections") {
            return "{ }".to_owned();
        }
        let count = 1 + self.random.below(3);
        let mut parts: Vec<_> = (0..count).map(|_| self.selection(on, depth)).collect();
        if self.fault.here("field: unknown") {
            parts.push("noSuchField".to_owned());
        }
        if self.fault.here("field: of another type") {
            parts.push("clientMutationId".to_owned());
        }
        if self.fault.here("fragment: unknown") {
            parts.push("...NoSuchFragment".to_owned());
        }
        if self.fault.here("field: the key of another field") {
            parts.push(self.conflicting(on));
        }
        format!("{{ {} }}", parts.join(" "))
    }

    fn conflicting(&mut self, on: &Name) -> String {
        let leaves: Vec<_> = self.field_names(on).into_iter().filter(|name| self.is_plain_leaf(on, name)).collect();
        match leaves.as_slice() {
            [first, .., last] => format!("same: {first} same: {last}"),
            _ => "same: __typename same: noSuchField".to_owned(),
        }
    }

    fn is_plain_leaf(&self, on: &Name, name: &Name) -> bool {
        let Ok(field) = self.schema.type_field(on, name) else { return false };
        let leaf = self.schema.types.get(field.ty.inner_named_type()).is_some_and(ExtendedType::is_leaf);
        leaf && field.arguments.iter().all(|argument| !argument.is_required())
    }

    fn selection(&mut self, on: &Name, depth: usize) -> String {
        let names = self.field_names(on);
        match self.random.below(10) {
            0 => format!("__typename{}", self.directives()),
            1 | 2 if depth > 1 => self.fragment(on, depth),
            _ if names.is_empty() => "__typename".to_owned(),
            _ => {
                let leaves: Vec<_> = names.iter().filter(|name| self.is_plain_leaf(on, name)).cloned().collect();
                let few = depth <= 1 || self.random.percent(30);
                let names = if few && !leaves.is_empty() { leaves } else { names };
                let name = self.random.one(&names).clone();
                self.field(on, &name, depth)
            }
        }
    }

    fn field(&mut self, on: &Name, name: &Name, depth: usize) -> String {
        let field = self.schema.type_field(on, name).expect("a field").clone();
        let arguments = self.arguments(&field.arguments);
        let alias = match self.random.below(20) {
            0..16 if !arguments.is_empty() => self.name("a") + ": ",
            16 => "x: ".to_owned(),
            17 => self.name("b") + ": ",
            _ => String::new(),
        };
        let directives = self.directives();
        let inner = field.ty.inner_named_type();
        let is_leaf = self.schema.types.get(inner).is_some_and(ExtendedType::is_leaf);
        let selections = match is_leaf {
            true if self.fault.here("field: a leaf with selections") => " { __typename }".to_owned(),
            false if self.fault.here("field: an object without selections") => String::new(),
            true => String::new(),
            false if depth <= 1 => " { __typename }".to_owned(),
            false => format!(" {}", self.selections(inner, depth - 1)),
        };
        format!("{alias}{name}{arguments}{directives}{selections}")
    }

    fn arguments(&mut self, definitions: &[Node<InputValueDefinition>]) -> String {
        let mut parts = Vec::new();
        for definition in definitions {
            let wanted = match definition.is_required() {
                true => !self.fault.here("argument: missing"),
                false => self.random.percent(30),
            };
            if wanted {
                let part = format!("{}: {}", definition.name, self.argument(definition));
                if self.fault.here("argument: twice") {
                    parts.push(part.clone());
                }
                parts.push(part);
            }
        }
        if self.fault.here("argument: unknown") {
            parts.push("noSuchArgument: 1".to_owned());
        }
        match parts.is_empty() {
            true if self.fault.here("argument: none in parentheses") => "()".to_owned(),
            true => String::new(),
            false => format!("({})", parts.join(", ")),
        }
    }

    fn directives(&mut self) -> String {
        if self.fault.here("directive: unknown") {
            return " @noSuchDirective".to_owned();
        }
        if self.fault.here("directive: twice") {
            return " @skip(if: false) @skip(if: false)".to_owned();
        }
        let misplaced = self.misplaced("@specifiedBy(url: \"x\")");
        if !misplaced.is_empty() || !self.random.percent(8) {
            return misplaced;
        }
        let name = *self.random.one(&["skip", "include"]);
        let definition = self.schema.directive_definitions.get(name).expect("a directive").clone();
        format!(" @{name}{}", self.arguments(&definition.arguments))
    }

    fn misplaced(&mut self, directive: &str) -> String {
        if self.fault.here("directive: misplaced") { format!(" {directive}") } else { String::new() }
    }

    /// Returns an inline fragment or a spread on a type that may apply.
    fn fragment(&mut self, on: &Name, depth: usize) -> String {
        if let Some(wrong) = self.wrong_fragment(on) {
            return wrong;
        }
        let related: Vec<_> = self.possible.keys().filter(|other| self.overlap(on, other)).cloned().collect();
        let to = self.random.one(&related).clone();
        let directives = self.directives();
        match self.random.below(3) {
            0 => format!("...{directives} {}", self.selections(on, depth - 1)),
            1 => format!("... on {to}{directives} {}", self.selections(&to, depth - 1)),
            _ => self.spread(on, &to, depth, &directives),
        }
    }

    fn overlap(&self, one: &Name, other: &Name) -> bool {
        self.possible[one].intersection(&self.possible[other]).next().is_some()
    }

    fn wrong_fragment(&mut self, on: &Name) -> Option<String> {
        let unrelated: Vec<_> = self.possible.keys().filter(|other| !self.overlap(on, other)).cloned().collect();
        if self.fault.here("fragment: on a type that never applies") {
            return Some(format!("... on {} {{ __typename }}", self.random.one(&unrelated)));
        }
        let leaf = self.fault.here("fragment: on a leaf").then_some("... on String { __typename }");
        let unknown = self.fault.here("fragment: on an unknown type").then_some("... on NoSuchType { __typename }");
        leaf.or(unknown).map(str::to_owned)
    }

    fn spread(&mut self, on: &Name, to: &Name, depth: usize, directives: &str) -> String {
        let known: Vec<_> = self.fragments.iter().filter(|(_, to)| self.overlap(on, to)).cloned().collect();
        if !known.is_empty() && self.random.percent(40) {
            return format!("...{}{directives}", self.random.one(&known).0);
        }
        let name = self.name("F");
        let mut selections = self.selections(to, depth - 1);
        if self.fault.here("fragment: in a circle") {
            selections = format!("{{ __typename ...{name} }}");
        }
        let definition = format!("fragment {name} on {to}{} {selections}", self.misplaced("@skip(if: false)"));
        if self.fault.here("fragment: twice") {
            self.definitions.push(definition.clone());
        }
        if self.fault.here("fragment: not used") {
            self.definitions.push(format!("fragment Unused on {to} {{ __typename }}"));
        }
        self.definitions.push(definition);
        self.fragments.push((name.clone(), to.clone()));
        format!("...{name}{directives}")
    }
}
