//! The house stays as ARCHITECTURE.md draws it: a `use` that points the wrong way fails here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pausa::task::Code;

/// From the left, where everything is put together, to the right, where nothing is known of the rest. Each may use what
/// stands to its right.
const LAYERS: [&[&str]; 14] = [
    &["main"],
    &["cli"],
    &["app", "telemetry"],
    &["http"],
    &["api"],
    &["kinds"],
    &["gql"],
    &["state"],
    &["runner"],
    &["backup"],
    &["store", "bus", "files", "datasets", "request_limits"],
    &["database", "redis_server"],
    &["access"],
    &["metrics", "task", "clock", "config", "disk", "lock", "numbers", "retry", "spans", "spawn"],
];

/// Crates that only some places may name.
const KEPT: [(&str, &[&str]); 9] = [
    ("sqlx", &["src/store", "src/datasets", "src/database", "src/bus/postgres.rs"]),
    ("redis", &["src/redis_server", "src/bus", "src/app"]),
    ("rusqlite", &["src/datasets/sqlite", "src/backup"]),
    ("async_graphql", &["src/gql", "src/api", "src/kinds/api.rs", "src/kinds/*/api.rs"]),
    ("axum", &["src/http", "src/app.rs"]),
    ("prometheus_client", &["src/metrics", "src/kinds/*/metrics.rs"]),
    ("reqwest", &["src/telemetry", "src/files/blobs/s3"]),
    ("object_store", &["src/files/blobs/s3"]),
    ("tokio::fs", &["src/files", "src/kinds/import/rejects.rs"]),
];

/// The file that may contain the texts of error codes.
const CODE_TEXTS: &str = "src/task/code.rs";

/// The longest file that is still read in one go.
const LINES: usize = 400;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn read_all() -> Vec<(String, String)> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).into_iter().map(read).collect()
}

/// Returns a file's path below the repository, and its text.
fn read(path: PathBuf) -> (String, String) {
    let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
    (name, fs::read_to_string(path).unwrap())
}

/// The sources of the crates beside this one.
fn read_crates() -> Vec<(String, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let folders = fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path().join("src"));
    folders.flat_map(|folder| sources(&folder)).map(read).collect()
}

/// The layer of a file, by the first part of its path below `src`.
fn layer(file: &str) -> Option<usize> {
    let module = file.strip_prefix("src/")?.split(['/', '.']).next()?;
    LAYERS.iter().position(|names| names.contains(&module))
}

/// True if `file` is at `place` or below it. A `*` in a place stands for one folder.
fn is_at(file: &str, place: &str) -> bool {
    let mut parts = file.split('/');
    place.split('/').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
}

#[test]
fn uses_point_to_the_right() {
    let mut wrong = Vec::new();
    for (file, text) in read_all().into_iter().filter(|(file, _)| file != "src/lib.rs") {
        let from = layer(&file).unwrap_or_else(|| panic!("{file} is in no layer"));
        let source: String = text.lines().filter(|line| !is_comment(line)).flat_map(|line| [line, "\n"]).collect();
        for path in paths(&source) {
            let module = path.strip_prefix("crate::").and_then(|path| path.split("::").next());
            let to = module.and_then(|module| LAYERS.iter().position(|names| names.contains(&module)));
            if to.is_some_and(|to| to < from) {
                wrong.push(format!("{file}: {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these point to the left:\n{}", wrong.join("\n"));
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (file, text) in read_all() {
        for (name, places) in KEPT {
            let kept = places.iter().any(|place| is_at(&file, place));
            let path = format!("{name}::");
            for line in text.lines().filter(|line| !kept && line.contains(&path) && !line.trim().starts_with("//")) {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "these are out of place:\n{}", wrong.join("\n"));
}

#[test]
fn tokio_tasks_are_started_in_one_place() {
    let started = |line: &str| line.contains("tokio::spawn(") || line.contains("task::spawn_blocking(");
    let mut wrong = Vec::new();
    for (file, text) in read_all().iter().filter(|(file, _)| file != "src/spawn.rs") {
        wrong.extend(text.lines().filter(|line| started(line)).map(|line| format!("{file}: {}", line.trim())));
    }
    assert!(wrong.is_empty(), "use crate::spawn, which keeps the build short:\n{}", wrong.join("\n"));
}

#[test]
fn error_codes_are_written_in_one_place() {
    let mut wrong = Vec::new();
    for (file, text) in read_all() {
        if file == CODE_TEXTS {
            continue;
        }
        for code in Code::ALL {
            let literal = format!("\"{code}\"");
            wrong.extend(
                text.lines().filter(|line| line.contains(&literal)).map(|line| format!("{file}: {}", line.trim())),
            );
        }
    }
    assert!(wrong.is_empty(), "these belong to task::Code:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for (file, text) in read_all() {
        assert!(text.starts_with("//!"), "{file} does not begin with what it is");
        assert!(text.lines().count() <= LINES, "{file} is longer than {LINES} lines");
    }
}

/// Others name blobs and working files by ID and name, so that another blob store needs no file system.
#[test]
fn no_path_leaves_files() {
    let mut wrong = Vec::new();
    for (file, text) in read_all().into_iter().filter(|(file, _)| file.starts_with("src/files/")) {
        let is_port = file == "src/files/blobs/mod.rs";
        // An item ends at its body or its semicolon, so a signature of several lines is one.
        let code: String = code(&text).flat_map(|line| [line.trim(), " "]).collect();
        for item in code.split(['{', '}', ';']).map(str::trim).filter(|item| item.contains("Path")) {
            let is_public = ["pub fn", "pub async fn", "pub type", "pub use"].iter().any(|start| item.contains(start));
            let opens_root = item.contains("fn open(") && item.contains("root: &Path,");
            if (is_port || is_public) && !opens_root {
                wrong.push(format!("{file}: {item}"));
            }
        }
    }
    assert!(wrong.is_empty(), "a path leaves `files`:\n{}", wrong.join("\n"));
}

/// Names that several modules may use, each for its own: the idiom of Rust for errors and results.
const SHARED_NAMES: [&str; 2] = ["Error", "Result"];

/// Returns the types that a text defines: structs, enums, traits and type aliases.
fn defined_types(text: &str) -> Vec<String> {
    let define = |line: &str| {
        let line = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')').map_or(rest, |(_, rest)| rest),
            None => rest,
        });
        let (keyword, rest) = line.trim_start().split_once(' ')?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (["struct", "enum", "trait", "type"].contains(&keyword) && !name.is_empty()).then_some(name)
    };
    text.lines().filter(|line| !line.starts_with(' ')).filter_map(define).collect()
}

#[test]
fn each_type_name_has_one_meaning_in_a_crate() {
    let mut files_of: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (file, text) in read_all().into_iter().chain(read_crates()) {
        for name in defined_types(&text) {
            let (owner, _) = file.split_once("src/").unwrap_or_default();
            files_of.entry((owner.to_owned(), name)).or_default().push(file.clone());
        }
    }
    files_of.retain(|(_, name), files| files.len() > 1 && !SHARED_NAMES.contains(&name.as_str()));
    assert!(files_of.is_empty(), "these names mean several things: {files_of:?}");
}

/// The files that know the kinds: the list of kinds, the union of the API and the wiring.
const KNOW_KINDS: [&str; 3] = ["src/kinds", "src/api/kinds.rs", "src/app.rs"];

#[test]
fn no_kind_is_named_in_general_code() {
    let kinds: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kinds")).unwrap().collect();
    let kinds = kinds.into_iter().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let kinds: Vec<_> = kinds.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(kinds.len() > 3, "{kinds:?}");
    let mut wrong = Vec::new();
    for (file, text) in read_all().into_iter().filter(|(file, _)| !KNOW_KINDS.iter().any(|place| is_at(file, place))) {
        for line in code(&text).filter(|_| !file.ends_with("/tests.rs")) {
            let named = kinds.iter().any(|kind| {
                line.contains(&format!("kinds::{kind}"))
                    || line.contains(&format!("\"{kind}\""))
                    || line.contains(&format!(" {kind}::"))
                    || words(line).any(|word| word.strip_suffix('s').is_some_and(|one| one.eq_ignore_ascii_case(kind)))
            });
            if named {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "these name a kind:\n{}", wrong.join("\n"));
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The lines of a text up to its module of unit tests, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<_> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'));
    let end = tests.unwrap_or(lines.len());
    lines.into_iter().take(end).filter(|line| !is_comment(line))
}

/// The paths in a text, those of `a::{b, c}` written out.
fn paths(source: &str) -> Vec<String> {
    let (mut found, mut prefixes, mut path) = (Vec::new(), vec![String::new()], String::new());
    for c in source.chars() {
        if c.is_alphanumeric() || c == '_' || c == ':' {
            path.push(c);
            continue;
        }
        let whole = prefixes.last().cloned().unwrap_or_default() + &std::mem::take(&mut path);
        match c {
            '{' if whole.ends_with("::") => prefixes.push(whole),
            '{' => prefixes.push(String::new()),
            _ => found.push(whole),
        }
        if c == '}' && prefixes.len() > 1 {
            prefixes.pop();
        }
    }
    found.retain(|path| path.contains("::"));
    found
}

/// The module of a file, as a path below the crate.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The module that a path in `file` leads to: the longest part of the path that is a module of `modules`.
fn used_module(from: &[String], path: &str, modules: &BTreeSet<Vec<String>>) -> Option<Vec<String>> {
    let mut base = from.to_vec();
    let mut names = path.split("::").peekable();
    match names.peek().copied() {
        Some("crate") => base.clear(),
        Some("self" | "super") => {}
        _ => return None,
    }
    while let Some(step @ ("crate" | "self" | "super")) = names.peek().copied() {
        if step == "super" {
            base.pop();
        }
        names.next();
    }
    base.extend(names.map(str::to_owned));
    (1..=base.len()).rev().map(|length| base[..length].to_vec()).find(|module| modules.contains(module))
}

/// Returns true if one module contains the other: a module and its parts may use each other.
fn is_nested(one: &[String], other: &[String]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let files = read_all();
    let modules: BTreeSet<_> = files.iter().map(|(file, _)| module(file)).collect();
    let mut uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (file, text) in &files {
        let from = module(file);
        let source: String = code(text).collect::<Vec<_>>().join("\n");
        let paths = paths(&source);
        let used = paths.iter().filter_map(|path| used_module(&from, path, &modules));
        let others = used.filter(|used| !is_nested(&from, used));
        uses.entry(from.clone()).or_default().extend(others);
    }
    // Whatever uses nothing of the rest is in no circle; what remains is.
    loop {
        let rest: BTreeSet<_> = uses.keys().cloned().collect();
        uses.values_mut().for_each(|used| used.retain(|module| rest.contains(module)));
        let before = uses.len();
        uses.retain(|_, used| !used.is_empty());
        if uses.len() == before {
            break;
        }
    }
    let circles: Vec<_> = uses.keys().map(|module| module.join("::")).collect();
    assert!(circles.is_empty(), "these are in a circle, or use one: {circles:?}");
}
