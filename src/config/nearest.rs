//! Suggestions for mistyped names.

/// Maximum edit distance of a typo.
const TYPO: usize = 2;

/// Returns the most similar name, if it is close enough to be a typo.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let ranked = names.map(|name| (distance(typed, name), name));
    let (changes, name) = ranked.min_by_key(|(changes, _)| *changes)?;
    (changes <= TYPO.min(typed.chars().count() / 3)).then_some(name)
}

/// Returns the Levenshtein distance in characters.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, typed) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, meant) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(typed != *meant);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_gets_a_suggestion_and_an_unrelated_name_gets_none() {
        let names = || ["listen", "data_dir", "log", "PAUSA_ROLE"].into_iter();
        for (typed, meant) in [("listn", Some("listen")), ("lisetn", Some("listen")), ("data_dri", Some("data_dir"))] {
            assert_eq!(nearest(typed, names()), meant, "{typed}");
        }
        for typed in ["", "x", "port", "PAUSA_PORT", "something_else"] {
            assert_eq!(nearest(typed, names()), None, "{typed}");
        }
    }
}
