//! Names of datasets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name: a letter, then letters, digits and `_`, at most 63 bytes, all ASCII. Case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatasetName(String);

/// A text that is not a valid name, at most 100 characters of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid dataset name: use a letter, then letters, digits and _, at most 63 characters")]
pub struct InvalidName(String);

impl DatasetName {
    /// Maximum length of a name, in bytes.
    pub const MAX_BYTES: usize = 63;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatasetName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let letter_first = text.starts_with(|first: char| first.is_ascii_alphabetic());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if letter_first && plain && text.len() <= Self::MAX_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName(text.chars().take(100).collect()))
        }
    }
}

impl TryFrom<String> for DatasetName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<DatasetName> for String {
    fn from(name: DatasetName) -> Self {
        name.0
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_names_are_refused_with_the_rule() {
        for valid in ["a", "Sales_2024", &"x".repeat(63)] {
            assert_eq!(valid.parse::<DatasetName>().unwrap().as_str(), valid);
        }
        for bad in ["", "1a", "_a", "a-b", "a b", "é", "a\0", &"x".repeat(64)] {
            let error = bad.parse::<DatasetName>().unwrap_err();
            assert!(error.to_string().contains("a letter, then"), "{error}");
        }
    }

    #[test]
    fn json_is_checked_too() {
        assert!(serde_json::from_str::<DatasetName>("\"a b\"").is_err());
        let name: DatasetName = serde_json::from_str("\"ab\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"ab\"");
    }
}
