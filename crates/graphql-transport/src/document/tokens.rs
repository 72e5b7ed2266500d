//! Tokens of a document. Numbers and escapes in strings are not checked here: the parser does.

use std::ops::Range;

/// Kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name.
    Name,
    /// A number, or what begins like one.
    Number,
    /// A string or a block string.
    Text,
    /// A punctuator, `...` included.
    Punctuator,
    /// A character that begins no token, or a string without an end.
    Invalid,
    /// The end of the document.
    End,
}

/// A token and its place.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its kind.
    pub kind: TokenKind,
    /// Its bytes.
    pub place: Range<usize>,
}

/// Returns the first token at or after `from`.
pub fn token_at(text: &str, from: usize) -> Token {
    let start = from + ignored(&text[from..]);
    let rest = &text[start..];
    let (kind, length) = match rest.as_bytes().first() {
        None => (TokenKind::End, 0),
        Some(b'_' | b'a'..=b'z' | b'A'..=b'Z') => (TokenKind::Name, run(rest, is_name)),
        Some(b'-' | b'0'..=b'9') => (TokenKind::Number, run(rest, |byte| is_name(byte) || b"+-.".contains(&byte))),
        Some(b'"') => string(rest).map_or((TokenKind::Invalid, 1), |length| (TokenKind::Text, length)),
        Some(b'.') if rest.starts_with("...") => (TokenKind::Punctuator, 3),
        Some(byte) if b"!$&():=@[]{|}".contains(byte) => (TokenKind::Punctuator, 1),
        Some(_) => (TokenKind::Invalid, rest.chars().next().map_or(0, char::len_utf8)),
    };
    Token { kind, place: start..start + length }
}

fn is_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// Returns the number of bytes at the beginning that are `of` a kind.
fn run(text: &str, of: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| of(*byte)).count()
}

/// Returns the length of white space, commas, comments and byte order marks.
fn ignored(text: &str) -> usize {
    let mut rest = text;
    loop {
        let shorter = rest.trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
        rest = match shorter.strip_prefix('#') {
            Some(comment) => &comment[run(comment, |byte| !is_line_end(byte))..],
            None => return text.len() - shorter.len(),
        };
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Returns the length of a string or block string, with its quotes. None if it does not end, or not on its line.
fn string(text: &str) -> Option<usize> {
    if let Some(block) = text.strip_prefix("\"\"\"") {
        return Some(6 + block_length(block)?);
    }
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(index + 1),
            b'\\' if !bytes.next().is_some_and(|(_, byte)| is_line_end(byte)) => {}
            b'\\' | b'\n' | b'\r' => return None,
            _ => {}
        }
    }
    None
}

/// Returns the length of a block string, given the text after its first quotes. Quotes after a backslash belong to it.
fn block_length(text: &str) -> Option<usize> {
    let mut ends = text.match_indices("\"\"\"").map(|(index, _)| index);
    ends.find(|index| !text[..*index].ends_with('\\'))
}
