//! Generated values: literals of documents, and JSON of variables.

use apollo_compiler::{
    Name, Node,
    ast::{InputValueDefinition, Type},
    schema::{ExtendedType, InputObjectType},
};
use serde_json::{Value, json};

use super::documents::{Generator, Variable};

/// Literals that a custom scalar takes.
const ANY: [&str; 7] = ["1", "-2.5e3", "\"text\"", "true", "{ a: [1, \"b\"], c: {} }", "[]", "WORD"];

/// Literals of each built-in scalar.
fn literals(name: &str) -> &'static [&'static str] {
    match name {
        "Int" => &["0", "1", "-5", "2147483647", "-2147483648"],
        "Float" => &["0", "1.5", "-2e3", "7", "1E-2", "99999999999999999999"],
        "String" => &["\"\"", "\"a\\u00e9\\n\"", "\"\"\"a \"quoted\" \\\"\"\" b\"\"\"", "\"\u{1f600}#{\""],
        "Boolean" => &["true", "false"],
        "ID" => &["\"x\"", "5", "-7", "99999999999999999999", "\"\""],
        _ => &ANY,
    }
}

/// Literals that a built-in scalar refuses.
fn wrong_literals(name: &str) -> &'static [&'static str] {
    match name {
        "Int" => &["\"1\"", "true", "WORD", "{}", "[1, true]"],
        "Float" => &["\"1.5\"", "false", "WORD", "{}"],
        "String" => &["1", "1.5", "true", "{}", "[1]"],
        "Boolean" => &["1", "\"true\"", "WORD", "{}"],
        _ => &["1.5", "true", "WORD", "{}"],
    }
}

/// JSON of each built-in scalar, and of custom ones.
fn jsons(name: &str) -> Vec<Value> {
    match name {
        "Int" => vec![json!(0), json!(-5), json!(2_147_483_647), json!(1.0)],
        "Float" => vec![json!(0), json!(1.5), json!(-2e30), json!(99_999_999_999_u64)],
        "String" => vec![json!(""), json!("a\u{e9}\n\u{1f600}")],
        "Boolean" => vec![json!(true), json!(false)],
        "ID" => vec![json!("x"), json!(5), json!(-7), json!(3.0), json!("")],
        _ => vec![json!(1), json!("x"), json!([1, null]), json!({ "a": { "b": true } }), json!(false)],
    }
}

/// JSON that a built-in scalar refuses.
fn wrong_jsons(name: &str) -> Vec<Value> {
    match name {
        "Int" => vec![json!("1"), json!(1.5), json!(2_147_483_648_u64), json!(true), json!({}), json!(1e300)],
        "Float" => vec![json!("1.5"), json!(true), json!({})],
        "String" => vec![json!(1), json!(true), json!({})],
        "Boolean" => vec![json!(0), json!("true"), json!({})],
        _ => vec![json!(1.5), json!(true), json!({})],
    }
}

impl Generator<'_> {
    /// Returns the value of an argument.
    pub fn argument(&mut self, definition: &InputValueDefinition) -> String {
        self.value(&definition.ty, true)
    }

    /// Returns a literal of a type, or a variable.
    fn value(&mut self, ty: &Type, variables: bool) -> String {
        if ty.is_non_null() && self.fault.here("value: null") {
            return "null".to_owned();
        }
        if variables && self.random.percent(25) {
            return self.variable(ty);
        }
        if !ty.is_non_null() && self.random.percent(6) {
            return "null".to_owned();
        }
        match ty {
            Type::List(item) | Type::NonNullList(item) => {
                if self.random.percent(20) {
                    return self.value(&item.as_ref().clone().non_null(), variables);
                }
                let count = self.random.below(3);
                let items: Vec<_> = (0..count).map(|_| self.value(item, variables)).collect();
                format!("[{}]", items.join(", "))
            }
            Type::Named(name) | Type::NonNullNamed(name) => self.named(name, variables),
        }
    }

    fn named(&mut self, name: &Name, variables: bool) -> String {
        match self.schema.types.get(name) {
            Some(ExtendedType::InputObject(object)) => self.object(object, variables),
            Some(ExtendedType::Enum(kind)) => {
                let members: Vec<_> = kind.values.keys().cloned().collect();
                let member = self.random.one(&members).to_string();
                match () {
                    () if self.fault.here("value: an unknown member of an enum") => "NO_SUCH_MEMBER".to_owned(),
                    () if self.fault.here("value: a member of an enum as a string") => format!("\"{member}\""),
                    () => member,
                }
            }
            Some(ExtendedType::Scalar(scalar)) if scalar.is_built_in() => self.scalar(name),
            _ if variables && self.random.percent(10) => {
                let ty = Type::Named(Name::new("Int").unwrap());
                format!("{{ a: {} }}", self.variable(&ty))
            }
            _ => (*self.random.one(literals(name))).to_owned(),
        }
    }

    fn scalar(&mut self, name: &Name) -> String {
        let whole = name == "Int";
        let text = match () {
            () if self.fault.here("value: another kind") => *self.random.one(wrong_literals(name)),
            () if name == "String" && self.fault.here("value: a string as a member of an enum") => "word",
            () if whole && self.fault.here("value: a whole number that is too large") => "2147483648",
            () if whole && self.fault.here("value: a fraction") => "1.0",
            () => *self.random.one(literals(name)),
        };
        text.to_owned()
    }

    fn object(&mut self, object: &InputObjectType, variables: bool) -> String {
        let chosen = self.chosen_fields(object);
        let one_of = object.directives.has("oneOf");
        let mut parts = Vec::new();
        for (name, ty) in chosen {
            let ty = if one_of { ty.non_null() } else { ty };
            let part = format!("{name}: {}", self.value(&ty, variables));
            if self.fault.here("input: a field twice") {
                parts.push(part.clone());
            }
            parts.push(part);
        }
        if self.fault.here("input: an unknown field") {
            parts.push("noSuchField: 1".to_owned());
        }
        format!("{{{}}}", parts.join(", "))
    }

    /// Chooses fields of an input object: those that it needs, and some others.
    fn chosen_fields(&mut self, object: &InputObjectType) -> Vec<(Name, Type)> {
        let fields: Vec<_> =
            object.fields.values().map(|field| (field.name.clone(), field.ty.as_ref().clone())).collect();
        if object.directives.has("oneOf") {
            return match self.fault.here("input: another number of fields than one") {
                true => fields.into_iter().take(2 * self.random.below(2)).collect(),
                false => vec![self.random.one(&fields).clone()],
            };
        }
        let mut chosen = Vec::new();
        for (field, definition) in fields.into_iter().zip(object.fields.values()) {
            let wanted = match definition.is_required() {
                true => !self.fault.here("input: a missing field"),
                false => self.random.percent(15),
            };
            if wanted {
                chosen.push(field);
            }
        }
        chosen
    }

    /// Defines a variable for a place of this type, and returns its use.
    fn variable(&mut self, place: &Type) -> String {
        let name = self.name("v");
        let (ty, default) = self.variable_type(place);
        let default = match () {
            () if self.fault.here("variable: a wrong default") => " = { noSuchField: 1 }".to_owned(),
            () if self.fault.here("variable: a default with a variable") => " = $other".to_owned(),
            () if default || self.random.percent(15) => format!(" = {}", self.value(&ty.clone().non_null(), false)),
            () => String::new(),
        };
        let text = match () {
            () if self.fault.here("variable: of an output type") => "Query".to_owned(),
            () if self.fault.here("variable: of an unknown type") => "NoSuchType".to_owned(),
            () => ty.to_string(),
        };
        let hidden = self.fault.here("variable: not defined");
        self.variables.push(Variable { definition: format!("${name}: {text}{default}"), hidden });
        self.give(&name, &ty, !default.is_empty());
        format!("${name}")
    }

    /// Returns a type of a variable that fits a place, and true if it needs a default.
    fn variable_type(&mut self, place: &Type) -> (Type, bool) {
        if self.fault.here("variable: of another type") {
            return (Type::Named(Name::new("Boolean").unwrap()).list(), false);
        }
        match place {
            place if place.is_non_null() && self.fault.here("variable: nullable") => (place.clone().nullable(), false),
            place if place.is_non_null() && self.random.percent(15) => (place.clone().nullable(), true),
            Type::List(item) | Type::NonNullList(item) if self.random.percent(15) => {
                (item.as_ref().clone().non_null().list().non_null(), false)
            }
            place if self.random.percent(30) => (place.clone().non_null(), false),
            place => (place.clone(), false),
        }
    }

    fn give(&mut self, name: &str, ty: &Type, has_default: bool) {
        let may_lack = has_default || !ty.is_non_null();
        let value = match () {
            () if !may_lack && self.fault.here("variable: no value") => return,
            () if ty.is_non_null() && self.fault.here("variable: null") => Value::Null,
            () if may_lack && self.random.percent(30) => return,
            () => self.json(ty),
        };
        self.values.insert(name.to_owned(), value);
    }

    /// Returns JSON of a type.
    fn json(&mut self, ty: &Type) -> Value {
        if !ty.is_non_null() && self.random.percent(8) {
            return Value::Null;
        }
        match ty {
            Type::List(item) | Type::NonNullList(item) => {
                if self.random.percent(20) {
                    return self.json(&item.as_ref().clone().non_null());
                }
                let count = self.random.below(3);
                Value::Array((0..count).map(|_| self.json(item)).collect())
            }
            Type::Named(name) | Type::NonNullNamed(name) => self.named_json(name),
        }
    }

    fn named_json(&mut self, name: &Name) -> Value {
        match self.schema.types.get(name) {
            Some(ExtendedType::InputObject(object)) => self.object_json(object),
            Some(ExtendedType::Enum(kind)) => {
                let members: Vec<_> = kind.values.keys().cloned().collect();
                match self.fault.here("variable: a wrong value") {
                    true => self.random.one(&[json!("NO_SUCH_MEMBER"), json!(1), json!(true), json!({})]).clone(),
                    false => json!(self.random.one(&members).as_str()),
                }
            }
            Some(ExtendedType::Scalar(scalar)) if scalar.is_built_in() => {
                let values = match self.fault.here("variable: a wrong value") {
                    true => wrong_jsons(name),
                    false => jsons(name),
                };
                self.random.one(&values).clone()
            }
            _ => self.random.one(&jsons(name)).clone(),
        }
    }

    fn object_json(&mut self, object: &Node<InputObjectType>) -> Value {
        if self.fault.here("variable: a wrong value") {
            return self.random.one(&[json!("x"), json!(1), json!([1]), json!({ "noSuchField": 1 })]).clone();
        }
        let one_of = object.directives.has("oneOf");
        let mut fields = serde_json::Map::new();
        for (name, ty) in self.chosen_fields(object) {
            let ty = if one_of { ty.non_null() } else { ty };
            fields.insert(name.to_string(), self.json(&ty));
        }
        Value::Object(fields)
    }
}
