//! Sources of settings: compiled-in defaults, a file, PAUSA_* variables, flags. Each overrides the one before.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::ConfigError;
use super::injected::is_injected;
use super::nearest::nearest;

/// Default settings with their documentation.
pub const DEFAULTS: &str = include_str!("../../config.default.toml");

/// PAUSA_* variables that are not settings.
const OTHER_VARIABLES: [&str; 1] = ["PAUSA_CONFIG"];

/// Ending of a variable that names the file of a value.
const VALUE_FILE: &str = "_FILE";

/// Settings by dotted name, with value and source.
#[derive(Debug)]
pub struct Layers(BTreeMap<String, SourcedValue>);

/// Value of a setting and its source.
#[derive(Debug)]
pub struct SourcedValue {
    pub value: Value,
    pub from: String,
}

impl Layers {
    /// Returns the default settings.
    pub fn defaults() -> Result<Layers, ConfigError> {
        let table: Table = DEFAULTS.parse().map_err(|error| unreadable("config.default.toml", &error))?;
        let mut layers = Layers(BTreeMap::new());
        flatten("", table, &mut |name, value| {
            layers.0.insert(name, SourcedValue { value, from: "the defaults".to_owned() });
        });
        Ok(layers)
    }

    /// Overrides settings with those of a TOML file.
    pub fn apply_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::File { file: name.clone(), problem: error.to_string() })?;
        let table: Table = text.parse().map_err(|error| unreadable(&name, &error))?;
        let mut values = Vec::new();
        flatten("", table, &mut |setting, value| values.push((setting, value)));
        values.into_iter().try_for_each(|(setting, value)| self.set(&setting, value, &name))
    }

    /// Overrides settings with PAUSA_* variables. `PAUSA_NAME_FILE` names the file of a value. Returns the names of variables that Kubernetes or Docker set for a service.
    pub fn apply_variables(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Vec<String>, ConfigError> {
        let settings: BTreeMap<_, _> = self.0.keys().map(|name| (variable(name), name.clone())).collect();
        let mut ignored = Vec::new();
        let variables: BTreeMap<_, _> = variables.filter(|(name, _)| name.starts_with("PAUSA_")).collect();
        for (name, text) in variables.clone() {
            let of_file = name.strip_suffix(VALUE_FILE).and_then(|value| Some((value, settings.get(value)?)));
            match settings.get(&name) {
                Some(setting) => self.apply_text(setting, &text, &format!("the variable {name}"))?,
                None if let Some((value, setting)) = of_file => {
                    let text = value_of_file(&name, &text, variables.contains_key(value).then_some(value))?;
                    self.apply_text(setting, &text, &format!("the file of the variable {name}"))?;
                }
                None if OTHER_VARIABLES.contains(&name.as_str()) => {}
                None if is_injected(&name, &text) => ignored.push(name),
                None => return Err(unknown(&name, "the environment", settings.keys())),
            }
        }
        Ok(ignored)
    }

    /// Overrides a setting with a value given as text.
    pub fn apply_text(&mut self, setting: &str, text: &str, from: &str) -> Result<(), ConfigError> {
        let value = match self.0.get(setting).map(|found| &found.value) {
            Some(Value::String(_)) => Some(Value::String(text.to_owned())),
            Some(Value::Boolean(_)) => text.parse().ok().map(Value::Boolean),
            Some(Value::Float(_)) => text.parse().ok().map(Value::Float),
            // Seconds may have a fraction even if the default has none.
            Some(Value::Integer(_)) => {
                text.parse().map(Value::Integer).ok().or_else(|| text.parse().ok().map(Value::Float))
            }
            _ => Some(Value::String(text.to_owned())),
        };
        // A text that does not fit the setting's type is kept: validation refuses it with name and allowed values.
        self.set(setting, value.unwrap_or_else(|| Value::String(text.to_owned())), from)
    }

    /// Returns the value of a setting.
    pub fn get(&self, setting: &str) -> Result<&SourcedValue, ConfigError> {
        self.0.get(setting).ok_or_else(|| unknown(setting, "the program", self.0.keys()))
    }

    fn set(&mut self, setting: &str, value: Value, from: &str) -> Result<(), ConfigError> {
        if !self.0.contains_key(setting) {
            return Err(unknown(setting, from, self.0.keys()));
        }
        self.0.insert(setting.to_owned(), SourcedValue { value, from: from.to_owned() });
        Ok(())
    }
}

/// Replaces the variables that name the files of keys, such as AWS_SECRET_ACCESS_KEY_FILE, by the keys.
pub fn with_key_files(variables: Vec<(String, String)>) -> Result<Vec<(String, String)>, ConfigError> {
    const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    let known: Vec<_> = variables.iter().map(|(name, _)| name.clone()).collect();
    let read = |(name, text): (String, String)| match name.strip_suffix(VALUE_FILE).filter(|key| KEYS.contains(key)) {
        Some(key) => {
            let other = known.iter().any(|name| name == key).then_some(key);
            Ok((key.to_owned(), value_of_file(&name, &text, other)?))
        }
        None => Ok((name, text)),
    };
    variables.into_iter().map(read).collect()
}

/// Returns the text of the file that `variable` names, without its last line break. `other` is a variable with the same value.
fn value_of_file(variable: &str, file: &str, other: Option<&str>) -> Result<String, ConfigError> {
    let refused = |problem: String| ConfigError::ValueFile { variable: variable.to_owned(), problem };
    if let Some(other) = other {
        return Err(refused(format!("{other} is set as well; set one of them")));
    }
    let text =
        std::fs::read_to_string(file).map_err(|error| refused(format!("cannot read the file {file}: {error}")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Error for an unknown setting, with the most similar of `names`.
fn unknown<'a>(name: &str, from: &str, names: impl Iterator<Item = &'a String>) -> ConfigError {
    let nearest = nearest(name, names.map(String::as_str)).map(str::to_owned);
    ConfigError::Unknown { name: name.to_owned(), from: from.to_owned(), nearest }
}

/// Returns the name of the environment variable for `setting`.
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
