//! The grammar of executable documents. The parser takes some texts that it does not allow: `(id id: 1)` became `(id: 1)`. And it
//! takes no descriptions.

use std::borrow::Cow;

use async_graphql::{Pos, ServerError};

use super::{
    refused_at,
    tokens::{Token, TokenKind, token_at},
};

/// Checks the grammar of a document whose brackets are not nested too deeply. Returns it without descriptions: spaces are at their
/// places.
pub fn check(text: &str) -> Result<Cow<'_, str>, ServerError> {
    let mut grammar = Grammar { text, next: token_at(text, 0), descriptions: Vec::new() };
    grammar.document()?;
    if grammar.descriptions.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let described = |at: usize| grammar.descriptions.iter().any(|token| token.place.contains(&at));
    let blank = |(at, c): (usize, char)| if described(at) && !matches!(c, '\n' | '\r') { ' ' } else { c };
    Ok(Cow::Owned(text.char_indices().map(blank).collect()))
}

type Checked = Result<(), ServerError>;

struct Grammar<'a> {
    text: &'a str,
    next: Token,
    descriptions: Vec<Token>,
}

impl<'a> Grammar<'a> {
    fn document(&mut self) -> Checked {
        self.definition()?;
        while self.next.kind != TokenKind::End {
            self.definition()?;
        }
        Ok(())
    }

    fn definition(&mut self) -> Checked {
        let described = self.description();
        match self.word() {
            "{" if !described => self.selections(),
            "query" | "mutation" | "subscription" => self.operation(),
            "fragment" => self.fragment(),
            _ => self.unexpected("an operation or a fragment"),
        }
    }

    /// Skips a description. Returns true if there is one.
    fn description(&mut self) -> bool {
        let described = self.next.kind == TokenKind::Text;
        if described {
            let token = self.take();
            self.descriptions.push(token);
        }
        described
    }

    fn operation(&mut self) -> Checked {
        self.take();
        if self.next.kind == TokenKind::Name {
            self.take();
        }
        if self.skip("(") {
            self.variable()?;
            while !self.skip(")") {
                self.variable()?;
            }
        }
        self.directives()?;
        self.selections()
    }

    fn variable(&mut self) -> Checked {
        self.description();
        self.expect("$")?;
        self.name()?;
        self.expect(":")?;
        self.reference()?;
        if self.skip("=") {
            self.value()?;
        }
        self.directives()
    }

    /// A reference to a type.
    fn reference(&mut self) -> Checked {
        if self.skip("[") {
            self.reference()?;
            self.expect("]")?;
        } else {
            self.name()?;
        }
        self.skip("!");
        Ok(())
    }

    fn fragment(&mut self) -> Checked {
        self.take();
        if self.word() == "on" {
            return self.unexpected("the name of a fragment");
        }
        self.name()?;
        self.expect("on")?;
        self.name()?;
        self.directives()?;
        self.selections()
    }

    fn selections(&mut self) -> Checked {
        self.expect("{")?;
        self.selection()?;
        while !self.skip("}") {
            self.selection()?;
        }
        Ok(())
    }

    fn selection(&mut self) -> Checked {
        if self.skip("...") {
            return self.spread();
        }
        self.name()?;
        if self.skip(":") {
            self.name()?;
        }
        self.arguments()?;
        self.directives()?;
        if self.word() == "{" { self.selections() } else { Ok(()) }
    }

    fn spread(&mut self) -> Checked {
        let is_inline = match self.word() {
            "on" => {
                self.take();
                self.name()?;
                true
            }
            _ if self.next.kind == TokenKind::Name => {
                self.take();
                false
            }
            _ => true,
        };
        self.directives()?;
        if is_inline { self.selections() } else { Ok(()) }
    }

    fn directives(&mut self) -> Checked {
        while self.skip("@") {
            self.name()?;
            self.arguments()?;
        }
        Ok(())
    }

    fn arguments(&mut self) -> Checked {
        if self.skip("(") {
            self.pair()?;
            while !self.skip(")") {
                self.pair()?;
            }
        }
        Ok(())
    }

    /// A name and a value.
    fn pair(&mut self) -> Checked {
        self.name()?;
        self.expect(":")?;
        self.value()
    }

    fn value(&mut self) -> Checked {
        match self.word() {
            "$" => {
                self.take();
                self.name()
            }
            "[" => {
                self.take();
                while !self.skip("]") {
                    self.value()?;
                }
                Ok(())
            }
            "{" => {
                self.take();
                while !self.skip("}") {
                    self.pair()?;
                }
                Ok(())
            }
            _ if matches!(self.next.kind, TokenKind::Name | TokenKind::Number | TokenKind::Text) => {
                self.take();
                Ok(())
            }
            _ => self.unexpected("a value"),
        }
    }

    fn name(&mut self) -> Checked {
        if self.next.kind != TokenKind::Name {
            return self.unexpected("a name");
        }
        self.take();
        Ok(())
    }

    fn expect(&mut self, word: &str) -> Checked {
        if self.skip(word) { Ok(()) } else { self.unexpected(&format!("\"{word}\"")) }
    }

    /// Takes the next token if it is this one.
    fn skip(&mut self, word: &str) -> bool {
        let found = self.word() == word;
        if found {
            self.take();
        }
        found
    }

    fn take(&mut self) -> Token {
        let next = token_at(self.text, self.next.place.end);
        std::mem::replace(&mut self.next, next)
    }

    /// Returns the text of the next token. Strings begin with a quote, so no other token equals a punctuator or a name.
    fn word(&self) -> &'a str {
        &self.text[self.next.place.clone()]
    }

    fn unexpected(&self, expected: &str) -> Checked {
        let found = match self.next.kind {
            TokenKind::End => "the end of the document".to_owned(),
            TokenKind::Text => "a string".to_owned(),
            TokenKind::Invalid if self.word() == "\"" => "a string without an end".to_owned(),
            _ => format!("\"{}\"", self.word().chars().take(50).collect::<String>()),
        };
        Err(refused_at(format!("Syntax error: expected {expected}, found {found}."), self.position()))
    }

    fn position(&self) -> Pos {
        let before = &self.text[..self.next.place.start];
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        Pos { line: before.matches('\n').count() + 1, column: before[line..].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_place_and_what_is_expected() {
        for (text, line, column, message) in [
            ("{ a(b b: 1) }", 1, 7, "expected \":\", found \"b\""),
            ("{ a(\n \u{e9}) }", 2, 2, "expected a name, found \"\u{e9}\""),
            ("{ a(b: {c d: 1}) }", 1, 11, "expected \":\", found \"d\""),
            ("{ a(b: \"\n\") }", 1, 8, "expected a value, found a string without an end"),
            ("{ a", 1, 4, "expected a name, found the end of the document"),
            ("", 1, 1, "expected an operation or a fragment, found the end of the document"),
            ("\"text\" { a }", 1, 8, "expected an operation or a fragment, found \"{\""),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(error.message, format!("Syntax error: {message}."), "{text}");
            assert_eq!(error.locations, [Pos { line, column }], "{text}");
        }
    }

    #[test]
    fn descriptions_are_replaced_by_spaces() {
        let text = "\"a \\\" b\" query(\"\"\"c\nd\"\"\" $v: Int = 1) { a(b: \"e\") }";
        let bare = "         query(    \n     $v: Int = 1) { a(b: \"e\") }";
        assert_eq!(check(text).unwrap(), bare);
        assert!(matches!(check("{ a(b: \"e\") }"), Ok(Cow::Borrowed(_))));
    }
}
