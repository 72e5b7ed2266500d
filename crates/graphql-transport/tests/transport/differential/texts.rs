//! Texts that are no documents, or only just: changed tokens, and what lexers disagree about.

use serde_json::json;

use super::graphql_js::Request;
use super::random::Random;
use super::{KINDS, Requests, SDL, compare};

/// Requests with a changed token.
const CHANGED: u64 = 800;

/// Tokens that replace others.
const TOKENS: [&str; 24] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ":",
    "$",
    "!",
    "=",
    "@",
    "...",
    "|",
    "&",
    "name",
    "on",
    "fragment",
    "query",
    "null",
    "true",
    "1",
    "-1.5e3",
    "\"text\"",
    "\"\"\"block\"\"\"",
];

/// Texts of which parsers may think differently.
const ODD: [&str; 78] = [
    "",
    " ",
    "#",
    "\u{feff}{ __typename }",
    "{ __typename }\u{feff}",
    "{ __typename \u{feff} }",
    "{ __typename } # comment without an end",
    "{ __typename } # \u{1f600}",
    "{ __typename } # \u{7}",
    "{,,__typename,,}",
    "{\t__typename\r\n}",
    "{ __typename\u{b} }",
    "{ __typename\u{a0} }",
    "{ __typename\u{0} }",
    "{ \u{e9} }",
    "query { }",
    "query Q",
    "{ a: b: __typename }",
    "{ __typename: __typename }",
    "{ on: __typename }",
    "{ true: __typename }",
    "query on { __typename }",
    "query fragment { __typename }",
    "query null { __typename }",
    "query Q() { __typename }",
    "{ ...F } fragment F on Query { __typename }",
    "{ ...on } fragment on on Query { __typename }",
    "{ ...query } fragment query on Query { __typename }",
    "{ ...on Query { __typename } }",
    "{ ... on on { __typename } }",
    "{ ... { __typename } }",
    "{ ... @skip(if: true) { __typename } }",
    "{ ...@skip(if: true) }",
    "fragment F on Query { __typename }",
    "{ __typename } { __typename }",
    "query A { __typename } query B { __typename }",
    "subscription { __typename }",
    "mutation { __typename }",
    "subscription { taskChanges { id } taskCounts { count } }",
    "subscription { a: taskChanges { id } b: taskChanges { id } }",
    "subscription { ...F } fragment F on Subscription { taskChanges { id } __typename }",
    "subscription { taskChanges @skip(if: true) { id } }",
    "subscription($s: Boolean!) { taskChanges @include(if: $s) { id } }",
    "{ __typename } type T { a: Int }",
    "extend type Query { a: Int } { __typename }",
    "schema { query: Query }",
    "\"described\" query { __typename }",
    "\"described\" { __typename }",
    "\"\"\"described\"\"\" fragment F on Query { __typename } { ...F }",
    "query($a: Int @deprecated) { __typename }",
    "query($a: Int = 1 @skip(if: true)) { __typename }",
    "query($a: [Int!]! = [1]) { __typename @skip(if: false) }",
    "query(a: Int) { __typename }",
    "query($a Int) { __typename }",
    "query($a: Int!!) { __typename }",
    "query($a: [Int) { __typename }",
    "query($a:) { __typename }",
    "query($: Int) { __typename }",
    "query($a: null) { __typename }",
    "{ task(id: 00) { id } }",
    "{ task(id: -0) { id } }",
    "{ task(id: 1a) { id } }",
    "{ task(id: 0x1) { id } }",
    "{ task(id: 1.) { id } }",
    "{ task(id: .5) { id } }",
    "{ task(id: +1) { id } }",
    "{ task(id: 1e) { id } }",
    "{ task(id: - 1) { id } }",
    "{ task(id: 'x') { id } }",
    "{ task(id: \"x) { id } }",
    "{ task(id: \"\n\") { id } }",
    "{ task(id: \"\t\") { id } }",
    "{ task(id: \"\u{7}\") { id } }",
    "{ task(id: \"\\x\") { id } }",
    "{ task(id: \"\"\"a\n\"b\"\n\"\"\") { id } }",
    "{ task(id: \"\"\"a) { id } }",
    "{ task(id: \"x\"\"y\") { id } }",
    "{ task(id: \"x\",) { id } }",
];

/// Escapes in strings.
const ESCAPES: [&str; 16] = [
    "\\u0041",
    "\\u00e9",
    "\\uD83D\\uDE00",
    "\\uD83D",
    "\\uDE00",
    "\\uDE00\\uD83D",
    "\\u{41}",
    "\\u{1F600}",
    "\\u{110000}",
    "\\u{D800}",
    "\\u{}",
    "\\u12",
    "\\u12G4",
    "\\n\\r\\t\\b\\f\\/\\\\\\\"",
    "\\'",
    "\\0",
];

fn request(query: impl Into<String>) -> (String, Request) {
    ("a text".to_owned(), Request { query: query.into(), operation_name: None, variables: json!({}) })
}

#[tokio::test]
async fn texts_are_parsed_if_graphql_js_parses_them() {
    let strings = ESCAPES.iter().flat_map(|escape| [format!("\"{escape}\""), format!("\"\"\"{escape}\"\"\"")]);
    let escapes = strings.map(|string| format!("{{ task(id: {string}) {{ id }} }}"));
    let mut requests: Vec<_> = ODD.into_iter().map(str::to_owned).chain(escapes).map(request).collect();
    let generated = Requests::new(SDL);
    for seed in 0..CHANGED {
        let valid = generated.valid(seed, &KINDS);
        let query = with_another_token(&valid.query, &mut Random::new(!seed));
        requests.push((format!("a changed token, seed {seed}"), Request { query, ..valid }));
    }
    assert!(compare(&requests).await > requests.len() / 2);
}

/// Removes, repeats, moves or replaces one token.
fn with_another_token(query: &str, random: &mut Random) -> String {
    let mut tokens = tokens(query);
    let (at, other) = (random.below(tokens.len()), random.below(tokens.len()));
    match random.below(4) {
        0 => drop(tokens.remove(at)),
        1 => tokens.insert(at, tokens[at]),
        2 => tokens.swap(at, other),
        _ => tokens[at] = *random.one(&TOKENS),
    }
    tokens.join(" ")
}

/// Splits a text into names, numbers, strings without spaces, and punctuators.
fn tokens(query: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || "_\"\\-.#".contains(c);
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while !rest.is_empty() {
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let end = if word == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { word };
        let (token, tail) = rest.split_at(end);
        tokens.push(token);
        rest = tail.trim_start();
    }
    tokens
}
