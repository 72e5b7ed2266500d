//! Settings in layers: the compiled-in defaults, a file, PAUSA_* variables, flags; each over the one before.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::ConfigError;
use super::injected::is_injected;
use super::nearest::nearest;

/// The file with every setting, its default and its comment.
pub const DEFAULTS: &str = include_str!("../../config.default.toml");

/// Variables that name no setting.
const OTHER_VARIABLES: [&str; 1] = ["PAUSA_CONFIG"];

/// Every setting by its dotted name, with its value and where that came from.
#[derive(Debug)]
pub struct Layers(BTreeMap<String, Found>);

/// A value and where it came from.
#[derive(Debug)]
pub struct Found {
    pub value: Value,
    pub from: String,
}

impl Layers {
    /// The defaults.
    pub fn defaults() -> Result<Layers, ConfigError> {
        let table: Table = DEFAULTS.parse().map_err(|error| unreadable("config.default.toml", &error))?;
        let mut layers = Layers(BTreeMap::new());
        flatten("", table, &mut |name, value| {
            layers.0.insert(name, Found { value, from: "the defaults".to_owned() });
        });
        Ok(layers)
    }

    /// Puts a file over what is there.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::File { file: name.clone(), problem: error.to_string() })?;
        let table: Table = text.parse().map_err(|error| unreadable(&name, &error))?;
        let mut values = Vec::new();
        flatten("", table, &mut |setting, value| values.push((setting, value)));
        values.into_iter().try_for_each(|(setting, value)| self.set(&setting, value, &name))
    }

    /// Puts PAUSA_* variables over what is there. Returns the names of those that a service of that name left behind.
    pub fn variables(&mut self, variables: impl Iterator<Item = (String, String)>) -> Result<Vec<String>, ConfigError> {
        let settings: BTreeMap<_, _> = self.0.keys().map(|name| (variable(name), name.clone())).collect();
        let mut ignored = Vec::new();
        for (name, text) in variables.filter(|(name, _)| name.starts_with("PAUSA_")) {
            match settings.get(&name) {
                Some(setting) => self.text(setting, &text, &format!("the variable {name}"))?,
                None if OTHER_VARIABLES.contains(&name.as_str()) => {}
                None if is_injected(&name, &text) => ignored.push(name),
                None => return Err(unknown(&name, "the environment", settings.keys())),
            }
        }
        Ok(ignored)
    }

    /// Puts a value that was given as text over what is there.
    pub fn text(&mut self, setting: &str, text: &str, from: &str) -> Result<(), ConfigError> {
        let value = match self.0.get(setting).map(|found| &found.value) {
            Some(Value::String(_)) => Some(Value::String(text.to_owned())),
            Some(Value::Boolean(_)) => text.parse().ok().map(Value::Boolean),
            Some(Value::Float(_)) => text.parse().ok().map(Value::Float),
            // Seconds may have a fraction where the default has none.
            Some(Value::Integer(_)) => {
                text.parse().map(Value::Integer).ok().or_else(|| text.parse().ok().map(Value::Float))
            }
            _ => Some(Value::String(text.to_owned())),
        };
        // A text that is no value of the setting's type is kept as it is, to be refused by name with what is allowed.
        self.set(setting, value.unwrap_or_else(|| Value::String(text.to_owned())), from)
    }

    /// The value of a setting that the defaults name.
    pub fn get(&self, setting: &str) -> Result<&Found, ConfigError> {
        self.0.get(setting).ok_or_else(|| unknown(setting, "the program", self.0.keys()))
    }

    fn set(&mut self, setting: &str, value: Value, from: &str) -> Result<(), ConfigError> {
        if !self.0.contains_key(setting) {
            return Err(unknown(setting, from, self.0.keys()));
        }
        self.0.insert(setting.to_owned(), Found { value, from: from.to_owned() });
        Ok(())
    }
}

/// No setting has that name; the closest of `names` may be the one that was meant.
fn unknown<'a>(name: &str, from: &str, names: impl Iterator<Item = &'a String>) -> ConfigError {
    let nearest = nearest(name, names.map(String::as_str)).map(str::to_owned);
    ConfigError::Unknown { name: name.to_owned(), from: from.to_owned(), nearest }
}

/// The variable that sets `setting`.
fn variable(setting: &str) -> String {
    format!("PAUSA_{}", setting.replace('.', "_").to_uppercase())
}

fn flatten(prefix: &str, table: Table, each: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&name, inner, each),
            value => each(name, value),
        }
    }
}

fn unreadable(file: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError::File { file: file.to_owned(), problem: error.to_string() }
}
