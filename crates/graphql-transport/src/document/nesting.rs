//! Maximum nesting of a query, checked before it is parsed. The parser recurses for each bracket, so a text of brackets alone
//! would overflow the stack.

/// Returns true if brackets are nested deeper than `limit`.
pub fn too_deep(query: &str, limit: usize) -> bool {
    let mut rest = query.as_bytes();
    let mut depth = 0_usize;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match byte {
            b'"' => after_string(tail),
            b'#' => after_line(tail),
            _ => tail,
        };
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// Returns the text after a string, given the text after its first quote.
fn after_string(text: &[u8]) -> &[u8] {
    let Some(mut rest) = text.strip_prefix(b"\"\"") else {
        return after_quote(text);
    };
    while let Some((_, tail)) = rest.split_first() {
        if let Some(end) = rest.strip_prefix(b"\"\"\"") {
            return end;
        }
        rest = rest.strip_prefix(br#"\""""#).unwrap_or(tail);
    }
    rest
}

/// Returns the text after the closing quote, or after the line if there is none.
fn after_quote(mut rest: &[u8]) -> &[u8] {
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match byte {
            b'"' | b'\n' | b'\r' => return tail,
            b'\\' => tail.get(1..).unwrap_or_default(),
            _ => tail,
        };
    }
    rest
}

/// Returns the text after a comment.
fn after_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    &text[end.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    fn too_deep(query: &str) -> bool {
        super::too_deep(query, 96)
    }

    #[test]
    fn brackets_count_only_outside_strings_and_comments() {
        let many = "[".repeat(200);
        assert!(too_deep(&many));
        assert!(too_deep(&format!("{{a(b:{many}")));
        assert!(!too_deep(&format!("{{a(b:\"{many}\\\"{many}\")}}")));
        assert!(!too_deep(&format!("{{a(b:\"\"\"{many} \" \\\"\"\" {many}\"\"\")}}")));
        assert!(!too_deep(&format!("{{a #{many}\n}}")));
        assert!(too_deep(&format!("{{a(b:\"\" c:{many})}}")));
        assert!(!too_deep(&"{a}".repeat(500)));
    }
}
