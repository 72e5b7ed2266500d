//! Texts are plain technical English (CONTRIBUTING.md), and name files that exist.

use std::fs;
use std::path::{Path, PathBuf};

use pausa::task::Code;

/// Beginnings of doc comments that neither name a thing nor say what it does.
const OPENINGS: [&str; 8] = ["What", "Why", "When", "How", "Where", "Whether", "Which", "Who"];

/// Phrases for which plain English has a better word, such as "interrupted" for "broken off".
const PHRASES: [&str; 26] = [
    "at leisure",
    "broke off",
    "broken off",
    "breaks off",
    "by itself",
    "by themselves",
    "cut off",
    "for ever",
    "for good",
    "gets rid",
    "given up",
    "go on",
    "goes on",
    "gone on",
    "heeds",
    "is away",
    "left-over",
    "left-overs",
    "lets go",
    "looks at",
    "nobody",
    "put off",
    "returns whether",
    "stands still",
    "stood still",
    "taken for",
];

/// Files without own sentences: names that users rely on, and code of others.
const SKIPPED: [&str; 3] = ["target", "node_modules", "graphiql"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns all files below `folder`, relative to the repository.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) && !name.to_string_lossy().starts_with('.')
        {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    found
}

/// Returns the texts below the places, each with its path. Those with another extension are left out.
fn texts(places: &[&str], extensions: &[&str]) -> Vec<(String, String)> {
    let paths = places.iter().flat_map(|place| match root().join(place) {
        path if path.is_file() => vec![PathBuf::from(place)],
        path => files(&path),
    });
    let wanted =
        paths.filter(|path| path.extension().is_some_and(|end| extensions.iter().any(|wanted| end == *wanted)));
    let read = |path: PathBuf| (path.display().to_string(), fs::read_to_string(root().join(&path)).unwrap());
    let texts: Vec<_> = wanted.map(read).collect();
    assert!(texts.len() > 10, "{places:?} have {} files", texts.len());
    texts
}

/// True if `text` contains `phrase` as whole words.
fn contains(text: &str, phrase: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
    text.match_indices(phrase).any(|(at, _)| {
        !is_letter(text[..at].chars().next_back()) && !is_letter(text[at + phrase.len()..].chars().next())
    })
}

#[test]
fn doc_comments_begin_with_a_noun_or_a_verb() {
    let mut wrong = Vec::new();
    for (file, text) in texts(&["src", "crates", "tests", "benches", "examples"], &["rs"]) {
        let mut before = "";
        for line in text.lines().map(str::trim) {
            let mark = ["///", "//!"].into_iter().find(|mark| line.starts_with(mark));
            let begins = mark.is_some_and(|mark| !before.starts_with(mark) || before == mark);
            let word = line.get(3..).and_then(|text| text.split_whitespace().next()).unwrap_or_default();
            if begins && OPENINGS.contains(&word) {
                wrong.push(format!("{file}: {line}"));
            }
            before = line;
        }
    }
    assert!(wrong.is_empty(), "these begin with a question word:\n{}", wrong.join("\n"));
}

#[test]
fn texts_have_no_phrases_with_a_plainer_word() {
    let places = [
        "src",
        "crates",
        "docs",
        "deploy",
        "examples",
        "client-examples",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "config.default.toml",
        "docker-compose.yml",
        "schema.graphql",
    ];
    let mut wrong = Vec::new();
    for (file, text) in texts(&places, &["rs", "md", "toml", "yml", "yaml", "graphql", "js", "ts", "tsx", "sh"]) {
        for line in text.lines() {
            let lower = line.to_lowercase();
            let found = PHRASES.iter().find(|phrase| contains(&lower, phrase));
            wrong.extend(found.map(|phrase| format!("{file}: \"{phrase}\" in: {}", line.trim())));
        }
    }
    assert!(wrong.is_empty(), "use a plainer word:\n{}", wrong.join("\n"));
}

#[test]
fn files_that_documents_name_exist() {
    let known: Vec<_> = files(root()).into_iter().map(|path| format!("/{}", path.display())).collect();
    let mut wrong = Vec::new();
    for (file, text) in texts(&["docs", "ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"], &["md"]) {
        let words = text.split(|c: char| !(c.is_alphanumeric() || "_-./".contains(c)));
        let named =
            words.map(|word| word.trim_matches('.')).filter(|word| word.ends_with(".rs") && !word.starts_with('/'));
        for name in named.filter(|name| !known.iter().any(|path| path.ends_with(&format!("/{name}")))) {
            wrong.push(format!("{file}: {name}"));
        }
    }
    assert!(wrong.is_empty(), "these files do not exist:\n{}", wrong.join("\n"));
}

/// Codes that the protocol of persisted queries defines. A task never has one.
const PROTOCOL_CODES: [&str; 2] = ["PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_NOT_SUPPORTED"];

#[test]
fn the_transport_has_no_error_code_of_its_own() {
    let text = fs::read_to_string(root().join("crates/graphql-transport/src/codes.rs")).unwrap();
    let codes: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split('"').nth(1)).collect();
    assert!(codes.len() > 4, "{codes:?}");
    for code in codes.into_iter().filter(|code| !PROTOCOL_CODES.contains(code)) {
        assert!(code.parse::<Code>().is_ok(), "{code} is not in task::Code");
    }
}
