//! Texts that every task store can hold: no NUL character, which PostgreSQL refuses, and a limited length.

/// Maximum characters of a task's label.
pub const LABEL: usize = 200;

/// Maximum characters of a tag.
pub const TAG: usize = 64;

/// Maximum characters of the reason for a change of state.
pub const REASON: usize = 1_000;

/// Maximum characters of an idempotency key.
pub const KEY: usize = 200;

/// Maximum characters of the name of an uploaded file.
pub const FILE_NAME: usize = 1_000;

/// Maximum characters of the message of an error.
pub const MESSAGE: usize = 4_000;

/// A text that a client sent and that cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// It contains U+0000.
    #[error("contains the NUL character (U+0000), which cannot be stored: remove it")]
    Nul,
    /// It is too long.
    #[error("has {found} characters; at most {limit} are allowed")]
    TooLong {
        /// Its length, in characters.
        found: usize,
        /// The maximum, in characters.
        limit: usize,
    },
}

/// Checks a text from a client.
///
/// # Errors
/// [`InvalidText`] if it contains U+0000 or has more than `limit` characters.
pub fn check(text: &str, limit: usize) -> Result<(), InvalidText> {
    let found = text.chars().count();
    if text.contains('\0') {
        return Err(InvalidText::Nul);
    }
    if found > limit { Err(InvalidText::TooLong { found, limit }) } else { Ok(()) }
}

/// Makes a text that comes from a run storable: U+0000 becomes U+FFFD, and what exceeds `limit` characters becomes an
/// ellipsis.
pub fn storable(text: &str, limit: usize) -> String {
    let text = text.replace('\0', "\u{fffd}");
    match text.char_indices().nth(limit) {
        None => text,
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_stored_is_named() {
        assert_eq!(check("Zürich 😀", 8), Ok(()));
        assert_eq!(check("Zürich 😀", 7), Err(InvalidText::TooLong { found: 8, limit: 7 }));
        assert_eq!(check("a\0b", 8), Err(InvalidText::Nul));
    }

    #[test]
    fn a_text_of_a_run_keeps_what_can_be_kept() {
        assert_eq!(storable("a\0b", 8), "a\u{fffd}b");
        assert_eq!(storable("Zürich 😀", 8), "Zürich 😀");
        assert_eq!(storable("Zürich 😀!", 8), "Zürich …");
    }
}
