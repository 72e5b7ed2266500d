//! Columns from a header. Names stay as they are; duplicates get a number.

use std::collections::HashSet;

use crate::datasets::{Column, ColumnType};

/// Returns the columns of a header. An empty name becomes `column_N`. A duplicate gets `_2`, `_3`, … Names are compared without
/// case, as SQLite does.
pub fn columns<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Column> {
    let names: Vec<_> = names.enumerate().map(|(n, name)| or_numbered(name, n + 1)).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let theirs: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let name = if taken.contains(&name.to_lowercase()) { suffixed(&name, &taken, &theirs) } else { name };
        taken.insert(name.to_lowercase());
        columns.push(Column { name, kind: ColumnType::Text });
    }
    columns
}

/// Returns `column_1` to `column_N`, for a file without a header.
pub fn numbered(count: usize) -> Vec<Column> {
    (1..=count).map(|n| Column { name: or_numbered("", n), kind: ColumnType::Text }).collect()
}

fn or_numbered(name: &str, n: usize) -> String {
    if name.is_empty() { format!("column_{n}") } else { name.to_owned() }
}

fn suffixed(name: &str, taken: &HashSet<String>, theirs: &HashSet<String>) -> String {
    let free = |candidate: &String| {
        let folded = candidate.to_lowercase();
        !taken.contains(&folded) && !theirs.contains(&folded)
    };
    let numbers = 2..=taken.len() + theirs.len() + 2;
    // There are more numbers than names, so one of them is free.
    numbers.map(|n| format!("{name}_{n}")).find(free).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &[&str]) -> Vec<String> {
        columns(header.iter().copied()).into_iter().map(|column| column.name).collect()
    }

    #[test]
    fn odd_names_stay_and_duplicates_are_numbered() {
        assert_eq!(names(&["a", "a", "A"]), ["a", "a_2", "A_3"]);
        assert_eq!(names(&["", "column_1", ""]), ["column_1", "column_1_2", "column_3"]);
        assert_eq!(names(&["a", "a_2", "a"]), ["a", "a_2", "a_3"]);
        assert_eq!(names(&["select", "a\"b", "naïve 😀"]), ["select", "a\"b", "naïve 😀"]);
    }
}
