//! Names of columns in a database, which does not accept every text.

use std::collections::HashSet;

use super::Column;

/// Rules of a database for the names of columns.
pub(super) struct Rules {
    /// Maximum length of a name, in bytes.
    pub(super) max_bytes: usize,
    /// True if `A` and `a` are the same name.
    pub(super) fold_case: bool,
    /// Names that a column cannot have, in lowercase.
    pub(super) reserved: &'static [&'static str],
}

impl Rules {
    /// Returns one name per column, in order: its own name if possible, otherwise shortened, without NUL and with a
    /// number (`name_2`). The same columns always give the same names.
    pub(super) fn identifiers(&self, columns: &[Column]) -> Vec<String> {
        let plain: HashSet<String> = columns.iter().map(|column| self.key(&column.name)).collect();
        let mut taken: HashSet<String> = self.reserved.iter().map(|name| (*name).to_owned()).collect();
        columns.iter().map(|column| self.identifier(&column.name, &plain, &mut taken)).collect()
    }

    fn identifier(&self, name: &str, plain: &HashSet<String>, taken: &mut HashSet<String>) -> String {
        let clean = name.replace('\0', "");
        let clean = if clean.is_empty() { "column" } else { &clean };
        let own = cut(clean, self.max_bytes).to_owned();
        if (own == name || !plain.contains(&self.key(&own))) && taken.insert(self.key(&own)) {
            return own;
        }
        let mut number = 2_usize;
        loop {
            let suffix = format!("_{number}");
            let numbered = format!("{}{suffix}", cut(clean, self.max_bytes - suffix.len()));
            if !plain.contains(&self.key(&numbered)) && taken.insert(self.key(&numbered)) {
                return numbered;
            }
            number += 1;
        }
    }

    fn key(&self, name: &str) -> String {
        if self.fold_case { name.to_ascii_lowercase() } else { name.to_owned() }
    }
}

/// Returns the longest prefix of `text` that has at most `bytes` and ends between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Quotes an identifier for SQL.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Rules = Rules { max_bytes: 8, fold_case: true, reserved: &["ctid"] };

    fn identifiers(names: &[&str]) -> Vec<String> {
        let columns: Vec<_> = names.iter().map(|name| Column::text(*name)).collect();
        STRICT.identifiers(&columns)
    }

    #[test]
    fn what_clashes_is_numbered() {
        let names = ["a", "A", "a_2", "CTID", "", "", "long name 1", "long name 2", "n\0l"];
        let expected = ["a", "A_3", "a_2", "CTID_2", "column", "column_2", "long nam", "long n_2", "nl"];
        assert_eq!(identifiers(&names), expected);
    }

    #[test]
    fn a_character_is_never_cut() {
        assert_eq!(identifiers(&["aaaaaaaé"]), ["aaaaaaa"]);
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
